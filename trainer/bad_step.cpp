#include "trainer/bad_step.hpp"

#include <algorithm>
#include <sstream>

#include "trainer/parallel/rank_names.hpp"

namespace gondola {

std::string name_images(const std::vector<std::int64_t>& ids) {
  constexpr std::size_t kNamed = 8;
  std::string text = ids.size() == 1 ? "image " : "images ";
  for (std::size_t i = 0; i < std::min(ids.size(), kNamed); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(ids[i]);
  }
  if (ids.size() > kNamed) text += " and " + std::to_string(ids.size() - kNamed) + " more";
  return text;
}

std::string BadStep::in_words() const {
  const bool some = !ranks.empty() && static_cast<std::int64_t>(ranks.size()) < world;
  const auto named = some ? name_ranks(ranks) : "";
  switch (trouble) {
    case Trouble::kWeights:
      return "the weights" + (some ? " of " + named : "") + " are not finite";
    case Trouble::kLoss: {
      std::vector<std::int64_t> images;
      for (const auto position : positions) {
        images.push_back(ids.at(static_cast<std::size_t>(position)));
      }
      return "the loss of " + name_images(images) + (some ? " on " + named : "") + " is not finite";
    }
    case Trouble::kGradient:
      return "the gradient" + (some ? " of " + named : "") + " is not finite";
    case Trouble::kBound:
      break;
  }
  std::ostringstream text;
  text << "the gradient's norm " << gradient_norm << " is beyond trainer.outlier_factor";
  return text.str();
}

}  // namespace gondola
