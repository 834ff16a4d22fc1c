#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <png.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdlib>
#include <set>
#include <tuple>

#include "data/archives/archive.hpp"
#include "data/checksum.hpp"
#include "data/helper_process.hpp"
#include "data/images/png.hpp"
#include "data/importers/image_pipeline.hpp"
#include "data/importers/import_job.hpp"
#include "data/importers/importers.hpp"
#include "tests/data/data_test.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// A grey picture of the test images' pixels.
void write_picture(const std::string& path, std::int64_t id, std::int64_t height,
                   std::int64_t width) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  write_png(path, width, height, 1, test_images(id, 1, height * width));
}

/// Packs files, given as (name, bytes), in their order.
void write_archive(const std::string& path,
                   const std::vector<std::pair<std::string, std::string>>& files) {
  archive* out = ::archive_write_new();
  ::archive_write_set_format_filter_by_ext(out, path.c_str());
  ASSERT_EQ(::archive_write_open_filename(out, path.c_str()), ARCHIVE_OK);
  for (const auto& [name, bytes] : files) {
    archive_entry* entry = ::archive_entry_new();
    ::archive_entry_set_pathname(entry, name.c_str());
    ::archive_entry_set_size(entry, static_cast<la_int64_t>(bytes.size()));
    ::archive_entry_set_filetype(entry, name.ends_with("/") ? AE_IFDIR : AE_IFREG);
    ::archive_entry_set_perm(entry, 0644);
    ::archive_write_header(out, entry);
    ::archive_write_data(out, bytes.data(), bytes.size());
    ::archive_entry_free(entry);
  }
  ::archive_write_close(out);
  ::archive_write_free(out);
}

std::string checksum_of(const std::string& path, Split split = Split::kTrain) {
  return DatasetFile(path).split(split)->images_checksum;
}

class Imports : public DataTest {
 protected:
  /// Imports to out.h5 of the test's folder.
  ImportReport import_from(const std::string& format, const std::vector<std::string>& inputs,
                           ImportOptions options = {}, SourceOptions source_options = {}) const {
    if (options.output.empty()) options.output = in_folder("out.h5");
    options.name = "test";
    options.jobs = 2;
    source_options.inputs.clear();
    for (const auto& input : inputs) {
      source_options.inputs.push_back(input.starts_with("/") ? input : in_folder(input));
    }
    const auto source = importer(format).open(source_options);
    return run_import(*source, options);
  }
  void write_pictures(const std::string& folder, std::int64_t count, std::int64_t height = 6,
                      std::int64_t width = 5) const {
    for (std::int64_t i = 0; i < count; ++i) {
      write_picture(in_folder(folder + "/img" + std::to_string(i) + ".png"), i, height, width);
    }
  }
  [[nodiscard]] std::vector<std::uint8_t> images_of(const std::string& name,
                                                    Split split = Split::kTrain) const {
    const auto source = open_source(in_folder(name), split, CacheKind::kNone);
    return read_ids(*source, first_ids(source->images()));
  }
};

TEST(NaturalOrder, compares_runs_of_digits_as_numbers) {
  std::vector<std::string> names = {"b", "a10", "a9", "a09", "a", "10", "9", "a9b", "A"};
  std::sort(names.begin(), names.end(), natural_less);
  EXPECT_THAT(names, ElementsAre("9", "10", "A", "a", "a09", "a9", "a9b", "a10", "b"));
}

TEST_F(Imports, a_folder_a_tar_and_a_zip_of_the_same_pictures_give_the_same_images) {
  write_pictures("pictures", 12);
  write_bytes("pictures/.hidden.png", "no picture");
  write_bytes("pictures/notes.txt", "words");
  std::vector<std::pair<std::string, std::string>> files = {{"p/", ""},
                                                            {"__MACOSX/p/._img1.png", "fork"}};
  for (const int i : {11, 3, 7, 0, 1, 2, 10, 4, 5, 6, 8, 9}) {  // as no order asks for
    const std::string name = "img" + std::to_string(i) + ".png";
    files.emplace_back("p/" + name, read_bytes(in_folder("pictures/" + name)));
  }
  import_from("images", {"pictures"});
  EXPECT_EQ(images_of("out.h5"), test_images(0, 12, 30));
  for (const std::string name : {"p.tar", "p.tar.gz", "p.tar.xz", "p.zip"}) {
    write_archive(in_folder(name), files);
    import_from("images", {name}, {.output = in_folder(name + ".h5")});
    EXPECT_EQ(images_of(name + ".h5"), test_images(0, 12, 30)) << name;
    EXPECT_EQ(DatasetFile(in_folder(name + ".h5")).header().sources.at(0).sha256,
              sha256_of_file(in_folder(name)));
  }
}

/// write_archive() with names flagged as UTF-8, as most programs pack them.
void write_utf8_archive(const std::string& path,
                        const std::vector<std::pair<std::string, std::string>>& files) {
  const locale_t utf8 = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", locale_t{});
  const locale_t before = ::uselocale(utf8);
  write_archive(path, files);
  ::uselocale(before);
  ::freelocale(utf8);
}

TEST_F(Imports, members_with_names_beyond_ascii_are_read) {
  write_pictures("p", 3);
  const auto bytes = [&](int i) {
    return read_bytes(in_folder("p/img" + std::to_string(i) + ".png"));
  };
  for (const std::string name : {"p.zip", "p.tar", "p.tar.gz"}) {
    write_utf8_archive(
        in_folder(name),
        {{"Bonn/a.png", bytes(0)}, {"K\u00f6ln/\u00e9.png", bytes(1)}, {"\u00e9.png", bytes(2)}});
    const auto archive = Archive::open(in_folder(name));
    EXPECT_THAT(archive->names(), ElementsAre("Bonn/a.png", "K\u00f6ln/\u00e9.png", "\u00e9.png"));
    import_from("images", {name}, {.output = in_folder(name + ".h5")});
    EXPECT_EQ(images_of(name + ".h5"), test_images(0, 3, 30)) << name;
  }
}

TEST_F(Imports, members_whose_names_cannot_be_read_are_not_passed_over) {
  write_pictures("p", 1);
  const auto picture = read_bytes(in_folder("p/img0.png"));
  write_utf8_archive(in_folder("p.zip"), {{"a.png", picture}, {"\u00e9.png", picture}});
  auto packed = read_bytes(in_folder("p.zip"));
  for (std::size_t at = 0; (at = packed.find("\u00e9.png", at)) != packed.npos;) {
    packed.replace(at, 2, "\xff\xfe");
  }
  write_bytes("p.zip", packed);
  EXPECT_THAT(complaint<DataError>([&] { import_from("images", {"p.zip"}); }),
              AllOf(HasSubstr("p.zip"), HasSubstr("name cannot be read")));
}

TEST_F(Imports, a_large_member_of_a_packed_tar_that_no_one_wants_does_no_harm) {
  write_pictures("p", 1);
  constexpr std::int64_t kBlock = 1 << 20, kBlocks = 3 << 10;
  const std::string path = in_folder("p.tar.gz"), picture = read_bytes(in_folder("p/img0.png"));
  archive* out = ::archive_write_new();
  ::archive_write_set_format_filter_by_ext(out, path.c_str());
  ASSERT_EQ(::archive_write_open_filename(out, path.c_str()), ARCHIVE_OK);
  archive_entry* entry = ::archive_entry_new();
  ::archive_entry_set_filetype(entry, AE_IFREG);
  ::archive_entry_set_perm(entry, 0644);
  ::archive_entry_set_pathname(entry, "img0.png");
  ::archive_entry_set_size(entry, static_cast<la_int64_t>(picture.size()));
  ::archive_write_header(out, entry);
  ::archive_write_data(out, picture.data(), picture.size());
  ::archive_entry_set_pathname(entry, "film.mp4");  // 3 GiB, of which the last MiB is stored
  ::archive_entry_set_size(entry, kBlocks * kBlock);
  ::archive_entry_sparse_add_entry(entry, (kBlocks - 1) * kBlock, kBlock);
  ::archive_write_header(out, entry);
  const std::string zeros(kBlock, '\0');
  for (std::int64_t i = 0; i < kBlocks; ++i) ::archive_write_data(out, zeros.data(), zeros.size());
  ::archive_entry_free(entry);
  ::archive_write_close(out);
  ::archive_write_free(out);
  ASSERT_LT(std::filesystem::file_size(path), std::uintmax_t{1} << 20);

  import_from("images", {"p.tar.gz"});
  EXPECT_EQ(images_of("out.h5"), test_images(0, 1, 30));
}

/// Zeros in front of a picture that a tar does not store.
struct Hole {
  std::size_t picture = 0;
  std::int64_t bytes = 0;  ///< 0: there is none.
};

/// A tar, not packed, of pictures under names of more than 100 characters.
void write_special_tar(const std::string& path, const std::vector<std::string>& pictures,
                       Hole hole) {
  archive* out = ::archive_write_new();
  ::archive_write_set_format_pax(out);
  ASSERT_EQ(::archive_write_open_filename(out, path.c_str()), ARCHIVE_OK);
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    std::string bytes = pictures[i];
    archive_entry* entry = ::archive_entry_new();
    ::archive_entry_set_filetype(entry, AE_IFREG);
    ::archive_entry_set_perm(entry, 0644);
    const std::string name = std::string(120, 'n') + std::to_string(i) + ".png";
    ::archive_entry_set_pathname(entry, name.c_str());
    const bool has_hole = i == hole.picture && hole.bytes > 0;
    if (has_hole) bytes.insert(0, static_cast<std::size_t>(hole.bytes), '\0');
    ::archive_entry_set_size(entry, static_cast<la_int64_t>(bytes.size()));
    if (has_hole) {
      ::archive_entry_sparse_add_entry(entry, hole.bytes,
                                       static_cast<la_int64_t>(pictures[i].size()));
    }
    ::archive_write_header(out, entry);
    ::archive_write_data(out, bytes.data(), bytes.size());
    ::archive_entry_free(entry);
  }
  ::archive_write_close(out);
  ::archive_write_free(out);
}

TEST_F(Imports, tars_with_long_names_and_holes_are_read) {
  write_pictures("p", 3);
  std::vector<std::string> pictures;
  for (int i = 0; i < 3; ++i) {
    pictures.push_back(read_bytes(in_folder("p/img" + std::to_string(i) + ".png")));
  }
  // The last one's ends within the empty blocks at the end of the file.
  for (const Hole hole :
       {Hole{}, Hole{.picture = 0, .bytes = 1 << 20}, Hole{.picture = 2, .bytes = 4096}}) {
    const std::string name = "hole" + std::to_string(hole.bytes) + ".tar";
    write_special_tar(in_folder(name), pictures, hole);
    ASSERT_LT(std::filesystem::file_size(in_folder(name)), 1U << 20);
    const auto archive = Archive::open(in_folder(name));
    ASSERT_THAT(archive->names(), SizeIs(3));
    for (std::size_t i = 0; i < 3; ++i) {
      const auto bytes = archive->read_one(i);
      const std::string zeros(i == hole.picture ? static_cast<std::size_t>(hole.bytes) : 0, '\0');
      EXPECT_TRUE(std::string(bytes.begin(), bytes.end()) == zeros + pictures[i])
          << name << " " << i;
    }
  }
}

TEST_F(Imports, members_that_need_no_unpacking_are_read_in_any_order) {
  write_pictures("p", 3);
  std::vector<std::pair<std::string, std::string>> files;
  for (const int i : {2, 0, 1}) {
    const std::string name = "img" + std::to_string(i) + ".png";
    files.emplace_back(name, read_bytes(in_folder("p/" + name)));
  }
  for (const std::string name : {"p.tar.gz", "p.zip"}) {
    write_archive(in_folder(name), files);
    EXPECT_EQ(Archive::open(in_folder(name))->reader(), nullptr) << name;
  }
  write_archive(in_folder("p.tar"), files);
  for (const std::string name : {"p.tar", "p"}) {
    const auto archive = Archive::open(in_folder(name));
    const auto reader = archive->reader();
    ASSERT_NE(reader, nullptr) << name;
    EXPECT_THAT(reader->order(), name == "p" ? ElementsAre(0, 1, 2) : ElementsAre(2, 0, 1));
    std::vector<std::uint8_t> bytes(1 << 16, 1);  // of a larger one before
    for (const std::size_t member : {1, 2, 0}) {
      const auto stamp = reader->read(member, bytes);
      EXPECT_EQ(std::string(bytes.begin(), bytes.end()),
                read_bytes(in_folder("p/" + archive->names()[member])))
          << name << " " << member;
      EXPECT_EQ(stamp.has_value(), archive->members_are_files());
    }
  }
}

TEST_F(Imports, links_to_files_are_members_of_a_folder_and_those_to_folders_are_not) {
  write_pictures("elsewhere", 2);
  write_pictures("p/inner", 1);
  std::filesystem::create_symlink(in_folder("elsewhere/img1.png"), in_folder("p/link.png"));
  std::filesystem::create_symlink(in_folder("elsewhere"), in_folder("p/more"));
  std::filesystem::create_symlink(in_folder("absent.png"), in_folder("p/nothing.png"));
  EXPECT_THAT(Archive::open(in_folder("p"))->names(), ElementsAre("inner/img0.png", "link.png"));
}

TEST_F(Imports, a_zip_of_a_single_member_is_read) {
  const std::string words(40, 'w');
  write_archive(in_folder("one.zip"), {{"a.txt", words}});
  const auto bytes = Archive::open(in_folder("one.zip"))->read_one(0);
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()), words);
}

TEST_F(Imports, a_tar_that_changes_after_it_was_listed_is_refused) {
  write_pictures("p", 3);
  std::vector<std::pair<std::string, std::string>> files;
  for (int i = 0; i < 3; ++i) {
    const std::string name = "img" + std::to_string(i) + ".png";
    files.emplace_back(name, read_bytes(in_folder("p/" + name)));
  }
  write_archive(in_folder("p.tar"), files);
  const auto source = importer("images").open({.inputs = {in_folder("p.tar")}});
  std::swap(files[0].second, files[1].second);
  write_archive(in_folder("p.tar"), files);
  EXPECT_THAT(complaint<DataError>([&] {
                (void)run_import(*source, {.output = in_folder("out.h5"), .name = "test"});
              }),
              AllOf(HasSubstr("p.tar"), HasSubstr("written")));
  EXPECT_THAT(listing(), ElementsAre("p", "p.tar"));
}

TEST_F(Imports, a_folder_is_named_by_the_sums_that_sha256sum_prints) {
  write_pictures("p", 3);
  write_bytes("p/notes.txt", "words");
  for (const std::int64_t limit : {0, 2}) {  // files whose images are left out count as well
    const std::string name = "limit" + std::to_string(limit) + ".h5";
    import_from("images", {"p"}, {.output = in_folder(name), .plan = {.limit = limit}});
    const auto sources = DatasetFile(in_folder(name)).header().sources;
    ASSERT_THAT(sources, SizeIs(4));
    for (const SourceFile& source : sources) {
      EXPECT_EQ(source.sha256, sha256_of_file(in_folder("p/" + source.name))) << source.name;
    }
  }
}

TEST_F(Imports, folders_are_classes_where_there_are_several) {
  write_picture(in_folder("p/dog/1.png"), 0, 2, 2);
  write_picture(in_folder("p/dog/2.png"), 1, 2, 2);
  write_picture(in_folder("p/cat/1.png"), 2, 2, 2);
  import_from("images", {"p"});
  EXPECT_THAT(DatasetFile(in_folder("out.h5")).read_labels(Split::kTrain), ElementsAre(0, 1, 1));
  auto expected = test_images(2, 1, 4);  // the cat, then the dogs
  const auto dogs = test_images(0, 2, 4);
  expected.insert(expected.end(), dogs.begin(), dogs.end());
  EXPECT_EQ(images_of("out.h5"), expected);
}

TEST_F(Imports, pictures_of_several_sizes_make_a_dataset_with_a_size_and_a_crop) {
  write_picture(in_folder("p/1.png"), 0, 8, 16);
  write_picture(in_folder("p/2.png"), 1, 30, 10);
  EXPECT_THAT(complaint<DataError>([&] { import_from("images", {"p"}); }),
              AllOf(HasSubstr("1x8x16"), HasSubstr("1x30x10"), HasSubstr("--size")));
  EXPECT_THAT(listing(), ElementsAre("p"));
  import_from("images", {"p"},
              {.fit = {.height = 4, .width = 4, .crop = FitOptions::Crop::kCenter}});
  const DatasetFile file(in_folder("out.h5"));
  EXPECT_EQ(file.split(Split::kTrain)->height, 4);
  EXPECT_THAT(file.header().recipe, AllOf(HasSubstr("proportions"), HasSubstr("bilinear to 4x4")));
}

TEST(ImageFits, only_grey_and_coloured_images_are_made_the_other) {
  const auto fit = [](std::int64_t from, std::int64_t to) {
    const ImageFit other({.height = 2, .width = 2, .channels = to});
    return other.apply(
        {.channels = from,
         .height = 4,
         .width = 4,
         .pixels = std::vector<std::uint8_t>(static_cast<std::size_t>(16 * from), 9)});
  };
  EXPECT_EQ(fit(1, 3).pixels, std::vector<std::uint8_t>(12, 9));
  EXPECT_EQ(fit(3, 1).pixels, std::vector<std::uint8_t>(4, 9));
  EXPECT_EQ(fit(2, 2).pixels.size(), 8U);
  for (const std::int64_t channels : {2, 4}) {
    EXPECT_THAT(complaint<DataError>([&] { (void)fit(channels, 3); }), HasSubstr("cannot be made"));
    EXPECT_THAT(complaint<DataError>([&] { (void)fit(channels, 1); }), HasSubstr("cannot be made"));
  }
}

TEST_F(Imports, shards_hold_the_images_of_one_file) {
  write_pictures("p", 23);
  const PlanOptions drawn{.train_share = 0.6, .seed = 5};
  import_from("images", {"p"}, {.plan = drawn});
  PlanOptions cut = drawn;
  cut.shard_images = 4;
  const auto report =
      import_from("images", {"p"}, {.output = in_folder("shards/s.h5"), .plan = cut});
  EXPECT_THAT(report.made, SizeIs(7));  // 14 training images in 4 files, 9 test images in 3
  EXPECT_EQ(report.made.front(), in_folder("shards/s-train-00000-of-00004.h5"));
  EXPECT_EQ(report.made.back(), in_folder("shards/s-test-00002-of-00003.h5"));
  for (const Split split : {Split::kTrain, Split::kTest}) {
    const auto shards = open_source(in_folder("shards/s-*.h5"), split, CacheKind::kNone);
    EXPECT_EQ(read_ids(*shards, first_ids(shards->images())), images_of("out.h5", split));
    const auto mean = open_source(in_folder("out.h5"), split, CacheKind::kNone);
    for (std::size_t i = 0; i < 30; ++i) {
      EXPECT_NEAR(shards->mean_image()[i], mean->mean_image()[i], 1e-15);
    }
  }
}

class ManyShards : public Imports {
 protected:
  /// What an import says of 30 shards, all open at once, in a process with these limits on files.
  [[nodiscard]] std::string import_within(rlim_t soft, rlim_t hard) const {
    write_pictures("p", 60);
    std::vector<std::pair<std::string, std::string>> files;
    for (const int first : {0, 1}) {
      for (int i = first; i < 60; i += 2) {
        const std::string name = "img" + std::to_string(i) + ".png";
        files.emplace_back(name, read_bytes(in_folder("p/" + name)));
      }
    }
    write_archive(in_folder("p.tar"), files);
    HelperProcess helper([&](ProcessLink& link) {
      const struct ::rlimit limit { soft, hard };
      ::setrlimit(RLIMIT_NOFILE, &limit);
      const auto sentence = complaint<IoError>([&] {
        import_from("images", {"p.tar"},
                    {.output = in_folder("s/s.h5"), .plan = {.shard_images = 2}});
      });
      HelperProcess::begin_answer(link);
      link.put_list(sentence);
    });
    std::string sentence;
    helper.answer(
        "an import", [](ProcessLink&) {},
        [&](ProcessLink& link) { sentence = link.get_list<std::string>(); });
    return sentence;
  }
};

TEST_F(ManyShards, may_be_open_as_far_as_the_system_allows) {
  EXPECT_EQ(import_within(40, 1000), "no error");
  const auto shards = open_source(in_folder("s/s-*.h5"), Split::kTrain, CacheKind::kNone);
  EXPECT_EQ(read_ids(*shards, first_ids(60)), test_images(0, 60, 30));
}

TEST_F(ManyShards, beyond_that_the_cure_is_named) {
  for (const rlim_t hard : {40, 41}) {  // met by one or the other of a writer's two files
    EXPECT_THAT(import_within(40, hard),
                AllOf(HasSubstr("Too many open files"), HasSubstr("ulimit -n"),
                      HasSubstr("--shard-images")));
  }
}

TEST_F(Imports, a_split_is_drawn_by_the_seed_and_loses_no_image) {
  write_pictures("p", 40);
  std::vector<std::vector<std::uint8_t>> training;
  for (const std::uint64_t seed : {1, 1, 2}) {
    const std::string name = "out" + std::to_string(training.size()) + ".h5";
    import_from("images", {"p"},
                {.output = in_folder(name), .plan = {.train_share = 0.75, .seed = seed}});
    training.push_back(images_of(name));
    auto all = training.back();
    const auto test = images_of(name, Split::kTest);
    EXPECT_EQ(all.size(), 30U * 30);
    all.insert(all.end(), test.begin(), test.end());
    std::multiset<std::string> found, expected;
    for (std::int64_t i = 0; i < 40; ++i) {
      found.emplace(all.begin() + i * 30, all.begin() + (i + 1) * 30);
      const auto image = test_images(i, 1, 30);
      expected.emplace(image.begin(), image.end());
    }
    EXPECT_EQ(found, expected);
  }
  EXPECT_EQ(training[0], training[1]);
  EXPECT_NE(training[0], training[2]);
}

TEST_F(Imports, finished_files_are_kept_and_the_rest_is_made) {
  write_pictures("p", 10);
  const ImportOptions options{.output = in_folder("s.h5"), .plan = {.shard_images = 3}};
  const auto first = import_from("images", {"p"}, options);
  ASSERT_THAT(first.made, SizeIs(4));
  std::vector<std::string> bytes;
  for (const auto& path : first.made) bytes.push_back(read_bytes(path));
  std::filesystem::remove(first.made[1]);
  std::filesystem::remove(first.made[3]);
  write_bytes("s-train-00001-of-00004.h5.partial-1", "left by a kill");

  const auto second = import_from("images", {"p"}, options);
  EXPECT_THAT(second.kept, ElementsAre(first.made[0], first.made[2]));
  EXPECT_THAT(second.made, ElementsAre(first.made[1], first.made[3]));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(read_bytes(first.made[i]), bytes[i]) << i;
  EXPECT_THAT(listing(), Each(::testing::Not(HasSubstr("partial"))));
  EXPECT_THAT(import_from("images", {"p"}, options).made, IsEmpty());
}

TEST_F(Imports, files_of_another_import_are_refused_and_left_alone) {
  write_pictures("p", 4);
  import_from("images", {"p"});
  const auto bytes = read_bytes(in_folder("out.h5"));
  EXPECT_THAT(complaint<ConfigError>([&] { import_from("images", {"p"}, {.plan = {.limit = 4}}); }),
              AllOf(HasSubstr("not overwritten"), HasSubstr("another import")));
  write_picture(in_folder("p/img2.png"), 77, 6, 5);
  EXPECT_THAT(complaint<ConfigError>([&] { import_from("images", {"p"}); }),
              HasSubstr("other files"));
  EXPECT_EQ(read_bytes(in_folder("out.h5")), bytes);
  std::filesystem::remove(in_folder("out.h5"));
  write_bytes("out.h5", "a letter");
  EXPECT_THAT(complaint<ConfigError>([&] { import_from("images", {"p"}); }),
              HasSubstr("no dataset"));
  EXPECT_EQ(read_bytes(in_folder("out.h5")), "a letter");
}

TEST_F(Imports, damaged_pictures_are_named_or_left_out) {
  write_pictures("p", 6);
  const auto whole = read_bytes(in_folder("p/img3.png"));
  write_bytes("p/img3.png", whole.substr(0, whole.size() / 2));
  write_bytes("p/img5.png", "words");
  EXPECT_THAT(complaint<DataError>([&] { import_from("images", {"p"}); }),
              ::testing::AnyOf(HasSubstr("img3.png"), HasSubstr("img5.png")));
  EXPECT_THAT(listing(), ElementsAre("p"));

  const auto report = import_from("images", {"p"}, {.bad_images = ImportOptions::BadImages::kSkip});
  EXPECT_THAT(report.bad_images, ElementsAre(HasSubstr("img3.png"), HasSubstr("img5.png")));
  EXPECT_EQ(report.images[0], 4);
  auto expected = test_images(0, 3, 30);
  const auto four = test_images(4, 1, 30);
  expected.insert(expected.end(), four.begin(), four.end());
  EXPECT_EQ(images_of("out.h5"), expected);
  EXPECT_THAT(DatasetFile(in_folder("out.h5")).header().recipe, HasSubstr("2 damaged images"));
}

TEST_F(Imports, nothing_to_import_is_said) {
  std::filesystem::create_directories(in_folder("empty"));
  for (const Importer& format : importers()) {
    EXPECT_THAT(complaint<MissingInputError>([&] { import_from(format.name, {"empty"}); }),
                HasSubstr("empty"))
        << format.name;
    EXPECT_THAT(complaint<MissingInputError>([&] { import_from(format.name, {"absent"}); }),
                HasSubstr("absent"))
        << format.name;
    EXPECT_THAT(complaint<MissingInputError>([&] { import_from(format.name, {}); }),
                HasSubstr("--input"))
        << format.name;
  }
  EXPECT_THAT(complaint<ConfigError>([] { (void)importer("cifar100"); }), HasSubstr("cifar10"));
}

TEST_F(Imports, damaged_archives_are_refused) {
  write_pictures("p", 30, 20, 20);
  std::vector<std::pair<std::string, std::string>> files;
  for (int i = 0; i < 30; ++i) {
    const std::string name = "img" + std::to_string(i) + ".png";
    files.emplace_back(name, read_bytes(in_folder("p/" + name)));
  }
  for (const std::string name : {"p.tar", "p.tar.gz", "p.tar.xz", "p.zip"}) {
    write_archive(in_folder(name), files);
    const auto whole = read_bytes(in_folder(name));
    write_bytes(name, whole.substr(0, whole.size() * 2 / 3));
    EXPECT_THAT(complaint<DataError>([&] { import_from("images", {name}); }), HasSubstr(name));
    write_bytes(name, "words");
    EXPECT_THAT(complaint<DataError>([&] { import_from("images", {name}); }), HasSubstr(name));
  }
  write_archive(in_folder("twice.tar"), {files[0], files[1], files[0]});
  EXPECT_THAT(complaint<DataError>([&] { import_from("images", {"twice.tar"}); }),
              AllOf(HasSubstr("img0.png"), HasSubstr("twice")));
}

TEST_F(Imports, a_source_that_changes_meanwhile_is_refused) {
  write_pictures("p", 40);
  bool changed = false;
  ImportOptions options;
  options.progress = [&](const char*, std::int64_t, std::int64_t) {
    if (!std::exchange(changed, true)) write_bytes("p/img39.png", "words");
  };
  EXPECT_THAT(complaint<DataError>([&] { import_from("images", {"p"}, options); }),
              HasSubstr("img39.png"));
  EXPECT_THAT(listing(), ElementsAre("p"));
}

TEST_F(Imports, a_file_that_changes_between_two_readings_is_refused) {
  write_pictures("p/a", 2);
  write_pictures("p/b", 2);
  bool changed = false;
  ImportOptions options{.bad_images = ImportOptions::BadImages::kSkip};
  options.progress = [&](const char* doing, std::int64_t done, std::int64_t total) {
    if (std::string_view(doing) != "checked" || done < total || std::exchange(changed, true))
      return;
    write_picture(in_folder("p/b/img0.png"), 77, 6, 5);  // as good as the one before
    std::filesystem::last_write_time(in_folder("p/b/img0.png"), {});
  };
  EXPECT_THAT(complaint<DataError>([&] { import_from("images", {"p"}, options); }),
              AllOf(HasSubstr("p/b/img0.png"), HasSubstr("changed")));
  EXPECT_THAT(listing(), ElementsAre("p"));
}

TEST_F(Imports, a_file_that_cannot_be_read_is_named_before_any_work) {
  write_pictures("p", 3);
  const auto source = importer("images").open({.inputs = {in_folder("p")}});
  std::filesystem::remove(in_folder("p/img2.png"));
  bool worked = false;
  ImportOptions options{.output = in_folder("out.h5"), .name = "test"};
  options.progress = [&](const char*, std::int64_t, std::int64_t) { worked = true; };
  EXPECT_THAT(complaint<IoError>([&] { (void)run_import(*source, options); }),
              HasSubstr("p/img2.png"));
  EXPECT_FALSE(worked);
}

/// Delivers images of no bytes.
class EmptyImages final : public ImportSource {
 public:
  explicit EmptyImages(std::int64_t images) { listing_.of(Split::kTrain).images = images; }
  void deliver(const std::function<bool(ImportPlace)>&,
               const std::function<void(RawImage)>& take) override {
    for (std::int64_t i = 0; i < listing_.of(Split::kTrain).images; ++i) {
      take({.place = {Split::kTrain, i}, .load = [](RawImage&) {}});
    }
  }
  [[nodiscard]] PlanarImage decode(const RawImage&) const override { return {}; }
};

TEST(ImagePipeline, shares_few_images_out_among_its_threads) {
  constexpr std::int64_t kJobs = 4;
  EmptyImages source(2 * kJobs);
  std::atomic<std::size_t> most = 0, all = 0;
  run_pipeline(
      source, kJobs, /*most=*/0, [](ImportPlace) { return true; },
      [&](std::span<RawImage> images) {
        std::size_t before = most;
        while (before < images.size() && !most.compare_exchange_weak(before, images.size())) {
        }
        all += images.size();
      });
  EXPECT_EQ(most, 1U);
  EXPECT_EQ(all, 2U * kJobs);
}

// --- CIFAR-10

std::string cifar_records(std::int64_t first, std::int64_t count) {
  std::string bytes;
  for (std::int64_t id = first; id < first + count; ++id) {
    bytes += static_cast<char>(id % 10);
    const auto pixels = test_images(id, 1, 3072);
    bytes.append(pixels.begin(), pixels.end());
  }
  return bytes;
}

TEST_F(Imports, cifar10_is_read_from_files_folders_and_archives) {
  std::filesystem::create_directories(in_folder("c"));
  write_bytes("c/data_batch_1.bin", cifar_records(0, 3));
  write_bytes("c/data_batch_2.bin", cifar_records(3, 2));
  write_bytes("c/test_batch.bin", cifar_records(5, 4));
  write_bytes("c/batches.meta.txt", "airplane");
  write_archive(in_folder("c.tar.gz"),
                {{"cifar-10-batches-bin/test_batch.bin", cifar_records(5, 4)},
                 {"cifar-10-batches-bin/data_batch_2.bin", cifar_records(3, 2)},
                 {"cifar-10-batches-bin/data_batch_1.bin", cifar_records(0, 3)}});
  for (const std::string input : {"c", "c.tar.gz"}) {
    import_from("cifar10", {input}, {.output = in_folder(input + ".h5")});
    EXPECT_EQ(images_of(input + ".h5"), test_images(0, 5, 3072)) << input;
    EXPECT_EQ(images_of(input + ".h5", Split::kTest), test_images(5, 4, 3072)) << input;
    const DatasetFile file(in_folder(input + ".h5"));
    EXPECT_THAT(file.read_labels(Split::kTrain), ElementsAre(0, 1, 2, 3, 4));
    EXPECT_EQ(file.header().sources.size(), input == "c" ? 3U : 1U);
  }
}

TEST_F(Imports, cifar10_that_is_damaged_is_refused) {
  write_bytes("data_batch_1.bin", cifar_records(0, 3).substr(1));
  EXPECT_THAT(complaint<DataError>([&] { import_from("cifar10", {"data_batch_1.bin"}); }),
              AllOf(HasSubstr("9218 bytes"), HasSubstr("truncated")));
  auto bytes = cifar_records(0, 3);
  bytes[3073] = 10;
  write_bytes("data_batch_1.bin", bytes);
  EXPECT_THAT(complaint<DataError>([&] { import_from("cifar10", {"data_batch_1.bin"}); }),
              AllOf(HasSubstr("image 1"), HasSubstr("label 10")));
  write_bytes("data_batch_1.bin.xz", "words");
  EXPECT_THAT(complaint<DataError>([&] { import_from("cifar10", {"data_batch_1.bin.xz"}); }),
              HasSubstr("data_batch_1.bin.xz"));
}

// --- CelebA

TEST_F(Imports, celeba_is_cut_as_torchvision_cuts_and_sorted_by_its_list) {
  for (std::int64_t i = 0; i < 4; ++i) {
    write_picture(in_folder("faces/00000" + std::to_string(i + 1) + ".png"), i, 218, 178);
  }
  write_bytes("list_eval_partition.txt",
              "000001.png 0\n000002.png 1\n000003.png 2\n000004.png 0\n000009.png 1\n");
  import_from("celeba", {"faces", "list_eval_partition.txt"});
  const DatasetFile file(in_folder("out.h5"));
  ASSERT_EQ(file.split(Split::kTrain)->images, 2);
  ASSERT_EQ(file.split(Split::kTest)->images, 1);
  EXPECT_EQ(file.split(Split::kTrain)->height, 148);
  const auto images = images_of("out.h5");
  EXPECT_EQ(images[0], test_byte(0, 35 * 178 + 15));
  EXPECT_EQ(images[2 * 148 * 148 - 1], test_byte(3, (35 + 147) * 178 + 15 + 147));
  EXPECT_EQ(images_of("out.h5", Split::kTest)[0], test_byte(2, 35 * 178 + 15));
}

TEST_F(Imports, celeba_at_half_size_is_recognised) {
  write_picture(in_folder("faces/1.png"), 0, 109, 89);
  for (const auto& [side, top, left] :
       {std::tuple(148, 18, 8), std::tuple(140, 20, 10), std::tuple(178, 10, 0)}) {
    const std::string name = "out" + std::to_string(side) + ".h5";
    import_from("celeba", {"faces"}, {.output = in_folder(name)}, {.face_crop = side});
    EXPECT_EQ(DatasetFile(in_folder(name)).split(Split::kTrain)->width, side / 2);
    EXPECT_EQ(images_of(name)[0], test_byte(0, top * 89 + left)) << side;
  }
}

TEST_F(Imports, celeba_that_is_something_else_is_refused) {
  write_picture(in_folder("faces/1.png"), 0, 100, 100);
  EXPECT_THAT(complaint<DataError>([&] { import_from("celeba", {"faces"}); }),
              AllOf(HasSubstr("1.png"), HasSubstr("100 pixels wide"), HasSubstr("178 by 218")));
  write_bytes("list_eval_partition.txt", "2.png 0\n");
  EXPECT_THAT(complaint<DataError>([&] {
                import_from("celeba", {"faces", "list_eval_partition.txt"});
              }),
              HasSubstr("not in the partition list"));
  write_bytes("list_eval_partition.txt", "1.png 0\n1.png three\n");
  EXPECT_THAT(complaint<DataError>([&] {
                import_from("celeba", {"faces", "list_eval_partition.txt"});
              }),
              AllOf(HasSubstr("line 2"), HasSubstr("1.png three")));
  EXPECT_THAT(
      complaint<ConfigError>([&] { import_from("celeba", {"faces"}, {}, {.face_crop = 147}); }),
      HasSubstr("147"));
}

// --- the published files, where they are

class RealImages : public Imports {
 protected:
  void SetUp() override {
    const char* shared = std::getenv("GONDOLA_SHARED");
    if (shared == nullptr || !std::filesystem::exists(std::string(shared) + "/data")) {
      GTEST_SKIP() << "GONDOLA_SHARED names no folder with data/";
    }
    data_ = std::string(shared) + "/data/";
  }
  std::string data_;
};

TEST_F(RealImages, mnist) {
  import_from("idx", {data_ + "mnist"});
  const DatasetFile file(in_folder("out.h5"));
  EXPECT_EQ(file.split(Split::kTrain)->images, 60000);
  EXPECT_EQ(file.split(Split::kTest)->images, 10000);
  EXPECT_EQ(checksum_of(in_folder("out.h5")), "ee3d62f55dfafffb");
  EXPECT_EQ(checksum_of(in_folder("out.h5"), Split::kTest), "6d9df6004ed35f23");
}

TEST_F(RealImages, cifar10) {
  import_from("cifar10", {data_ + "cifar-10"});
  const DatasetFile file(in_folder("out.h5"));
  EXPECT_EQ(file.split(Split::kTrain)->images, 10000);
  EXPECT_EQ(file.split(Split::kTest)->images, 10000);
  const auto labels = file.read_labels(Split::kTest);
  for (std::int64_t digit = 0; digit < 10; ++digit) {
    EXPECT_EQ(std::count(labels.begin(), labels.end(), digit), 1000);
  }
  EXPECT_EQ(checksum_of(in_folder("out.h5")), "59dbaa422980a629");
  EXPECT_EQ(checksum_of(in_folder("out.h5"), Split::kTest), "13e614c0cd7d1c11");
}

TEST_F(RealImages, celeba) {
  import_from("celeba", {data_ + "celeba-aligned-89x109-000001-010000.tar.xz"},
              {.fit = {.height = 64, .width = 64}});
  const DatasetFile file(in_folder("out.h5"));
  EXPECT_EQ(file.split(Split::kTrain)->images, 10000);
  EXPECT_EQ(file.split(Split::kTrain)->channels, 3);
  EXPECT_EQ(checksum_of(in_folder("out.h5")), "16268442a3725c83");
}

TEST_F(RealImages, bedrooms) {
  import_from("images", {data_ + "houses-bedrooms.tar"},
              {.fit = {.height = 128, .width = 128, .crop = FitOptions::Crop::kCenter}});
  const DatasetFile file(in_folder("out.h5"));
  EXPECT_EQ(file.split(Split::kTrain)->images, 535);
  EXPECT_EQ(checksum_of(in_folder("out.h5")), "88154c642b08c0aa");
}

TEST_F(RealImages, photographs) {
  import_from("images", {data_ + "photos"},
              {.fit = {.height = 256, .width = 384, .crop = FitOptions::Crop::kCenter}});
  const DatasetFile file(in_folder("out.h5"));
  EXPECT_EQ(file.split(Split::kTrain)->images, 8);
  EXPECT_EQ(checksum_of(in_folder("out.h5")), "02d90c857828ecf4");
}

TEST_F(Imports, fashion_mnist_from_its_package) {
  const std::string folder = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::exists(folder)) {
    GTEST_SKIP() << "the Debian package dataset-fashion-mnist is not installed";
  }
  import_from("idx", {folder});
  EXPECT_EQ(DatasetFile(in_folder("out.h5")).split(Split::kTrain)->images, 60000);
  EXPECT_EQ(checksum_of(in_folder("out.h5")), "c11b6543ae1530f3");
  EXPECT_EQ(checksum_of(in_folder("out.h5"), Split::kTest), "acf1cd2c87a40a9b");
}

}  // namespace
}  // namespace gondola
