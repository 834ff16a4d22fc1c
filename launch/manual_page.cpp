#include "launch/manual_page.hpp"

#include <gondola_version.hpp>

#include "configs/option_text.hpp"
#include "launch/command_line.hpp"

namespace gondola {
namespace {

constexpr const char* kDescription = R"(.SH DESCRIPTION
Gondola trains Gradient Origin Networks and the models that they are compared with, on one process or
on many under
.BR mpirun (1)
or
.BR srun (1).
Every command has a
.B \-\-help
of its own.
)";

constexpr const char* kRest = R"(.SH EXIT STATUS
.TP
0
done
.TP
64
bad command line or configuration
.TP
65
bad dataset or checkpoint
.TP
66
an input is missing
.TP
69
the world is wrong: another number of ranks than expected, ranks that differ, a shared GPU, a run
folder in use
.TP
70
internal error
.TP
71
training diverged
.TP
74
input or output failed
.TP
75
stopped on request after a complete checkpoint: start again with \-\-resume auto
.TP
76
a rank was lost, a collective timed out, or replicas drifted apart: start again with \-\-resume auto
.SH ENVIRONMENT
.TP
.B GONDOLA_SECTION_KEY
Value of the option
.IR section . key ,
where the command line gives none.
.TP
.B GONDOLA_PRESETS
Folder with presets that are looked at before the shipped ones.
.SH SIGNALS
USR1 ends a run after the step under way and a complete checkpoint, with exit status 75.
.SH EXAMPLES
.nf
gondola import idx \-\-input FOLDER \-\-output fashion.h5 \-\-size 32
mpirun \-n 4 gondola train \-\-config conv_fashion \-\-data.path fashion.h5 \-\-run.folder runs/first
gondola eval runs/first
.fi
)";

}  // namespace

std::string manual_page() {
  std::string text = ".TH GONDOLA 1 \"\" \"Gondola " + std::string(kVersion) +
                     "\" \"User commands\"\n" +
                     ".SH NAME\ngondola \\- trainer of Gradient Origin Networks\n"
                     ".SH SYNOPSIS\n.B gondola\n.I COMMAND\n[options]\n";
  text += kDescription;
  text += ".SH COMMANDS\n";
  for (const auto& [name, summary, usage] : command_table()) {
    text += ".TP\n.B gondola " + troff_text(usage) + "\n" + troff_text(summary) + ".\n";
  }
  text +=
      ".SH OPTIONS OF A RUN\nEach is also a \\(lqkey = value\\(rq under \\(lq[section]\\(rq in a "
      "file "
      "that\n.B \\-\\-config\nnames.\n";
  return text + options_troff() + kRest;
}

}  // namespace gondola
