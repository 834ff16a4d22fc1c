#include "launch/command_options.hpp"

#include <iostream>
#include <sstream>
#include <vector>

#include "configs/errors.hpp"
#include "configs/nearest_name.hpp"
#include "launch/command_line.hpp"

namespace gondola {

namespace po = boost::program_options;

std::optional<po::variables_map> parse_command_options(const std::string& command,
                                                       std::span<const std::string> args,
                                                       const std::string& positional,
                                                       po::options_description visible) {
  visible.add_options()("help,h", "print this text, and end");
  po::options_description all;
  all.add(visible).add_options()(positional.c_str(), po::value<std::string>());
  po::positional_options_description places;
  places.add(positional.c_str(), 1);

  po::variables_map values;
  try {
    const std::vector<std::string> words(args.begin(), args.end());
    constexpr int kWholeNames =
        po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    po::store(
        po::command_line_parser(words).options(all).positional(places).style(kWholeNames).run(),
        values);
    po::notify(values);
  } catch (const po::unknown_option& error) {
    std::vector<std::string> names;
    for (const auto& option : visible.options()) {
      names.push_back("--" + option->long_name());
    }
    const std::string name = error.get_option_name();
    const std::string meant = did_you_mean(name, names);
    throw ConfigError("gondola " + command + " has no option " + name +
                      (meant.empty() ? "; see gondola " + command + " --help" : meant));
  } catch (const po::error& error) {
    throw ConfigError("gondola " + command + ": " + error.what() + "; see gondola " + command +
                      " --help");
  }
  if (values.count("help") > 0) {
    std::ostringstream text;
    text << visible;
    std::cout << command_help(command, text.str());
    return std::nullopt;
  }
  return values;
}

}  // namespace gondola
