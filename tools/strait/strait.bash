# SPDX-License-Identifier: MIT
# bash completion for strait
_strait()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i
	local options="--volume --mem --workdir --env --env-file --user --no-squash --net
		--publish --memory --cpus --trace --trace-payload --log --strace --name
		--join --hostname --recover --hang --config --help"

	if [ "$COMP_CWORD" -eq 1 ]; then
		COMPREPLY=($(compgen -W "run ps stop restart swap strace trace deploy down logs console wait --version --help" -- "$cur"))
		return
	fi
	case ${COMP_WORDS[1]} in
	run)
		case $prev in
		--net) COMPREPLY=($(compgen -W "lwip host none" -- "$cur")); return ;;
		--log) COMPREPLY=($(compgen -W "unsupported channel warn info debug" -- "$cur")); return ;;
		-v|--volume|-w|--workdir) COMPREPLY=($(compgen -d -S : -- "$cur")); compopt -o nospace; return ;;
		--env-file|--trace|--config) COMPREPLY=($(compgen -f -- "$cur")); return ;;
		--join) COMPREPLY=($(compgen -W "$(strait ps 2>/dev/null | awk 'NR > 1 && /^[^ ]/ && $5 == "-" { print $1 }')" -- "$cur")); return ;;
		--mem|-e|--env|-u|--user|-p|--publish|--memory|--cpus|--name|--hostname|--recover|--hang) return ;;
		esac
		for ((i = 2; i < COMP_CWORD; i++)); do
			case ${COMP_WORDS[i]} in
			--trace-payload|--strace|--no-squash|--help|-h|--*=*) ;;
			-*) ((i++)) ;;
			*) COMPREPLY=($(compgen -f -- "$cur")); return ;;
			esac
		done
		case $cur in
		-*) COMPREPLY=($(compgen -W "$options" -- "$cur")) ;;
		*) COMPREPLY=($(compgen -f -- "$cur")) ;;
		esac
		;;
	deploy)
		COMPREPLY=($(compgen -f -- "$cur"))
		[[ $cur == -* ]] && COMPREPLY=($(compgen -W "--check --help" -- "$cur"))
		;;
	down)
		COMPREPLY=($(compgen -W "$(ls /run/strait 2>/dev/null)" -- "$cur"))
		;;
	logs|console|wait)
		COMPREPLY=($(compgen -W "$(cat /run/strait/*/members 2>/dev/null | awk '$1 != "watch" { print $3 }')" -- "$cur"))
		;;
	stop|strace)
		if [ "$COMP_CWORD" -eq 2 ]; then
			COMPREPLY=($(compgen -W "$(strait ps 2>/dev/null | awk 'NR > 1 && /^[^ ]/ { print $1 }')" -- "$cur"))
		elif [ "${COMP_WORDS[1]}" = strace ] && [ "$COMP_CWORD" -eq 3 ]; then
			COMPREPLY=($(compgen -W "on off" -- "$cur"))
		fi
		;;
	restart|swap)
		case $prev in
		--service) COMPREPLY=($(compgen -W "fsd netd" -- "$cur")); return ;;
		--backend) COMPREPLY=($(compgen -W "host lwip" -- "$cur")); return ;;
		--with) COMPREPLY=($(compgen -f -- "$cur")); return ;;
		esac
		if [ "$COMP_CWORD" -eq 2 ]; then
			COMPREPLY=($(compgen -W "$(strait ps 2>/dev/null | awk 'NR > 1 && /^[^ ]/ && $5 == "-" { print $1 }')" -- "$cur"))
		else
			COMPREPLY=($(compgen -W "--service $([ "${COMP_WORDS[1]}" = swap ] && echo --with --backend)" -- "$cur"))
		fi
		;;
	trace)
		if [ "$COMP_CWORD" -eq 2 ]; then
			COMPREPLY=($(compgen -W "report show fetch" -- "$cur"))
		else
			COMPREPLY=($(compgen -f -- "$cur"))
		fi
		;;
	esac
}
complete -F _strait strait
