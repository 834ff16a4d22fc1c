#include "launch/bash_completion.hpp"

#include "configs/option_table.hpp"
#include "configs/preset_file.hpp"
#include "launch/command_line.hpp"

namespace gondola {
namespace {

constexpr const char* kFunctions = R"(
# Options of a command but for those of a run, from its help, asked for once a shell.
declare -gA _gondola_options
_gondola_options_of() {
    [[ -n ${_gondola_options[$1]-} ]] ||
        _gondola_options[$1]=$("${COMP_WORDS[0]}" "$1" --help 2>/dev/null | grep -oE -- '--[a-z][a-z0-9_.-]*[a-z0-9]' | sort -u)
    printf '%s\n' "${_gondola_options[$1]}"
}

_gondola() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=''
    if ((COMP_CWORD == 1)); then
        words=$_gondola_commands
    elif [[ $before == --config ]]; then
        words=$_gondola_presets
    elif [[ $before == --* && -n ${_gondola_values[$before]-} ]]; then
        words=${_gondola_values[$before]}
    elif [[ ${COMP_WORDS[1]} == help ]]; then
        words=$_gondola_commands
    elif [[ $word == --* ]]; then
        words=$(_gondola_options_of "${COMP_WORDS[1]}")
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    ((${#COMPREPLY[@]})) || mapfile -t COMPREPLY < <(compgen -f -- "$word")
}
complete -o filenames -F _gondola gondola
)";

}  // namespace

std::string bash_completion() {
  std::string text = "# Completion of gondola's command line in bash.\n_gondola_commands='";
  for (const auto& command : command_table()) text += command.name + " ";
  text.back() = '\'';
  text += "\n_gondola_presets='";
  for (const auto& folder : preset_folders("")) {
    for (const auto& name : preset_names(folder)) text += name + " ";
  }
  text.back() = '\'';
  text += "\ndeclare -gA _gondola_values=(\n";
  for (const auto& option : option_table()) {
    std::string values = option.auto_word;
    for (const auto& choice : option.choices) values += (values.empty() ? "" : " ") + choice;
    if (option.type == OptionType::kFlag) values = "true false";
    if (!values.empty()) text += "    [--" + option.name() + "]='" + values + "'\n";
  }
  return text + ")\n" + kFunctions;
}

}  // namespace gondola
