# bash completion for ragstone: what --help says, so that it can't be out of date.
_ragstone() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} cmd= i

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-s | --store | --threads | --models) ((i++)) ;;
		-*) ;;
		*) cmd=${COMP_WORDS[i]}; break ;;
		esac
	done
	case $prev in
	-m | --model | --embedder)
		mapfile -t COMPREPLY < <(compgen -W "$("$1" -q model list 2> /dev/null | awk '{ print $1 }')" -- "$cur")
		return ;;
	-s | --store | --models)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return ;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$("$1" $cmd --help 2> /dev/null | grep -Eo '^  (-[a-zA-Z], |    )?--?[a-zA-Z][a-z-]*' | tr -s ' ,' '\n')" -- "$cur")
	elif [[ -z $cmd ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$("$1" --help 2> /dev/null | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')" -- "$cur")
	elif [[ $cmd == show || $cmd == forget ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$("$1" -q list --json 2> /dev/null | sed -n 's/^{"doc": \([0-9]*\),.*/\1/p')" -- "$cur")
	elif [[ $cmd == model ]]; then
		mapfile -t COMPREPLY < <(compgen -W "list inspect pull" -- "$cur")
	else
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	fi
}
complete -o filenames -F _ragstone ragstone
