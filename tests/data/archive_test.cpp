#include "data/archives/archive.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

#include <algorithm>

#include "data/archives/natural_order.hpp"
#include "data/checksum.hpp"
#include "tests/data/archive_files.hpp"
#include "tests/data/imports.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

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

struct Link {
  std::string name, target;
  bool hard = false;
};

/// Packs a file, and a link.
void write_archive_with_link(const std::string& path,
                             const std::pair<std::string, std::string>& file, const Link& link) {
  archive* out = ::archive_write_new();
  ::archive_write_set_format_filter_by_ext(out, path.c_str());
  ASSERT_EQ(::archive_write_open_filename(out, path.c_str()), ARCHIVE_OK);
  archive_entry* entry = ::archive_entry_new();
  ::archive_entry_set_perm(entry, 0644);
  ::archive_entry_set_filetype(entry, AE_IFREG);
  ::archive_entry_set_pathname(entry, file.first.c_str());
  ::archive_entry_set_size(entry, static_cast<la_int64_t>(file.second.size()));
  ::archive_write_header(out, entry);
  ::archive_write_data(out, file.second.data(), file.second.size());
  ::archive_entry_set_pathname(entry, link.name.c_str());
  ::archive_entry_set_size(entry, 0);
  if (link.hard) {
    ::archive_entry_set_hardlink(entry, link.target.c_str());
  } else {
    ::archive_entry_set_filetype(entry, AE_IFLNK);
    ::archive_entry_set_symlink(entry, link.target.c_str());
  }
  ::archive_write_header(out, entry);
  ::archive_entry_free(entry);
  ::archive_write_close(out);
  ::archive_write_free(out);
}

TEST_F(Imports, links_to_pictures_in_an_archive_are_not_passed_over) {
  write_pictures("p", 1);
  const std::pair file("p/img0.png", read_bytes(in_folder("p/img0.png")));
  for (const bool hard : {false, true}) {
    for (const std::string name : {"p.tar", "p.tar.gz", "p.zip"}) {
      if (hard && name == "p.zip") continue;  // has none
      write_archive_with_link(in_folder(name), file, {"p/more.png", "p/img0.png", hard});
      EXPECT_THAT(
          complaint<DataError>([&] { import_from("images", {name}); }),
          AllOf(HasSubstr(name + ": p/more.png is a link"), HasSubstr("--hard-dereference")))
          << hard;
    }
    for (const std::string link : {"p/README", "p/.more.png"}) {
      write_archive_with_link(in_folder("p.tar"), file, {link, "p/img0.png", hard});
      import_from("images", {"p.tar"}, {.output = in_folder("out.h5")});
      EXPECT_EQ(images_of("out.h5"), test_images(0, 1, 30)) << link << hard;
      std::filesystem::remove(in_folder("out.h5"));
    }
  }
  write_archive_with_link(in_folder("p.tar"), file, {"p/img0.png", "p/img0.png", /*hard=*/true});
  import_from("images", {"p.tar"});
  EXPECT_EQ(images_of("out.h5"), test_images(0, 1, 30)) << "tar was given a file twice";
}

TEST_F(Imports, links_to_what_a_dataset_needs_are_not_passed_over) {
  const std::pair<std::string, std::string> file("notes.txt", "words");
  for (const auto& [format, name] :
       {std::pair("celeba", "a/000001.jpg"), std::pair("celeba", "a/list_eval_partition.txt"),
        std::pair("coil20", "a/obj3__7.png"), std::pair("cifar10", "a/data_batch_2.bin")}) {
    write_archive_with_link(in_folder("p.tar"), file, {name, "elsewhere"});
    EXPECT_THAT(complaint<DataError>([&] { import_from(format, {"p.tar"}); }),
                HasSubstr(std::string(name) + " is a link"));
  }
  write_archive_with_link(in_folder("p.tar"), file, {"a/overview.png", "elsewhere"});
  EXPECT_THAT(complaint<MissingInputError>([&] { import_from("coil20", {"p.tar"}); }),
              HasSubstr("no pictures"));
}

TEST_F(Imports, links_to_files_are_members_of_a_folder_and_those_to_folders_are_not) {
  write_pictures("elsewhere", 2);
  write_pictures("p/inner", 1);
  std::filesystem::create_symlink(in_folder("elsewhere/img1.png"), in_folder("p/link.png"));
  std::filesystem::create_symlink(in_folder("elsewhere"), in_folder("p/more"));
  std::filesystem::create_symlink(in_folder("absent.png"), in_folder("p/nothing.png"));
  EXPECT_THAT(Archive::open(in_folder("p"))->names(), ElementsAre("inner/img0.png", "link.png"));
}

TEST_F(Imports, a_link_that_cannot_be_looked_at_is_named_and_not_passed_over) {
  write_pictures("p", 1);
  std::filesystem::create_symlink("round.png", in_folder("p/round.png"));  // to itself
  EXPECT_THAT([&] { (void)Archive::open(in_folder("p")); },
              testing::ThrowsMessage<IoError>(testing::HasSubstr("p/round.png: Too many levels")));
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

}  // namespace
}  // namespace gondola
