#pragma once

namespace gondola {

/// From now on USR1 and TERM (and the first INT, where no mpirun stands between the terminal and
/// this process) only set a flag, which the training loop looks at between steps. A second INT ends
/// the process as usual. Call it once, before threads that compute are started: their handlers run
/// on a thread of their own, never on the calling one or one that it starts. @throws IoError
void install_stop_signals();

/// Whether such a signal has come. May be called from any thread.
[[nodiscard]] bool stop_requested() noexcept;

}  // namespace gondola
