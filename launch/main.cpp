#include <exception>

#include "launch/exit_code.hpp"
#include "launch/mpi_session.hpp"
#include "launch/run_command.hpp"

int main(int argc, char** argv) {
  gondola::MpiSession mpi(argc, argv);
  try {
    return gondola::run_command(argc, argv, mpi);
  } catch (const std::exception& error) {
    // Peers may sit in a collective: end them all.
    return mpi.abort(gondola::exit_code_of(error), gondola::sentence_of(error));
  }
}
