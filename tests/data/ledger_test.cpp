#include "data/ledger.hpp"

#include "tests/data/data_test.hpp"

namespace gondola {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using Ledgers = DataTest;

TEST_F(Ledgers, a_line_is_step_epoch_position_and_id) {
  EXPECT_EQ(ledger_lines(7, 2, 30, std::vector<std::int64_t>{5, 1}), "7,2,30,5\n7,2,31,1\n");
}

TEST_F(Ledgers, lines_of_ranks_put_together_are_those_of_the_batch) {
  const std::vector<std::int64_t> ids = {9, 8, 7, 6, 5};
  std::string joined;
  for (std::int64_t rank = 0; rank < 3; ++rank) {
    const Slice slice = slice_of(5, rank, 3);
    joined += ledger_lines(4, 0, 10 + slice.begin,
                           std::span(ids).subspan(static_cast<std::size_t>(slice.begin),
                                                  static_cast<std::size_t>(slice.size())));
  }
  EXPECT_EQ(joined, ledger_lines(4, 0, 10, ids));
}

TEST_F(Ledgers, steps_are_appended_at_the_positions_of_their_batch) {
  const std::string path = in_folder("ledger.csv");
  LedgerWriter ledger(path, std::nullopt);
  ledger.append(1, {0, 0}, std::vector<std::int64_t>{3, 4});
  EXPECT_EQ(read_bytes(path), "1,0,0,3\n1,0,1,4\n") << "written at once";
  ledger.append(2, {0, 1}, std::vector<std::int64_t>{1, 0});
  EXPECT_EQ(read_bytes(path), "1,0,0,3\n1,0,1,4\n2,0,2,1\n2,0,3,0\n");
}

TEST_F(Ledgers, resuming_drops_later_rows_and_a_torn_last_line) {
  for (const char* torn : {"", "4,0,6", "3,0,6,1\n4,0,"}) {
    write_bytes("l.csv", std::string("1,0,0,3\n2,0,1,4\n2,0,2,8\n3,0,3,5\n") + torn);
    LedgerWriter ledger(in_folder("l.csv"), 2);
    ledger.append(3, {0, 3}, std::vector<std::int64_t>{7});
    EXPECT_EQ(read_bytes(in_folder("l.csv")), "1,0,0,3\n2,0,1,4\n2,0,2,8\n3,0,3,7\n") << torn;
  }
  for (const char* torn : {"2,0,3", "2,0,3,12"}) {  // the second only looks complete
    write_bytes("l.csv", std::string("1,0,0,3\n2,0,2,8\n") + torn);
    LedgerWriter ledger(in_folder("l.csv"), 2);
    EXPECT_EQ(read_bytes(in_folder("l.csv")), "1,0,0,3\n2,0,2,8\n") << torn;
  }
  write_bytes("l.csv", "1,0,0,3\n");
  { LedgerWriter ledger(in_folder("l.csv"), 0); }
  EXPECT_EQ(read_bytes(in_folder("l.csv")), "") << "resumed from the start";
  { LedgerWriter ledger(in_folder("new.csv"), 5); }
  EXPECT_EQ(read_bytes(in_folder("new.csv")), "") << "there need not be one";
}

TEST_F(Ledgers, a_new_run_overwrites_nothing) {
  write_bytes("l.csv", "1,0,0,3\n");
  EXPECT_THAT(
      complaint<ConfigError>([&] { LedgerWriter ledger(in_folder("l.csv"), std::nullopt); }),
      AllOf(HasSubstr("l.csv"), HasSubstr("not overwritten")));
  EXPECT_EQ(read_bytes(in_folder("l.csv")), "1,0,0,3\n");
}

TEST_F(Ledgers, another_kind_of_file_is_left_alone) {
  for (const char* text : {"my notes\n", "1,2,3\n", "1,2,3,4,5\n", "1,0,0,3\nx\n"}) {
    write_bytes("notes", text);
    EXPECT_THAT(complaint<DataError>([&] { LedgerWriter ledger(in_folder("notes"), 9); }),
                HasSubstr("is no ledger"));
    EXPECT_EQ(read_bytes(in_folder("notes")), text);
  }
  EXPECT_THAT(
      complaint<IoError>([&] { LedgerWriter ledger(in_folder("none/l.csv"), std::nullopt); }),
      HasSubstr("none/l.csv"));
}

}  // namespace
}  // namespace gondola
