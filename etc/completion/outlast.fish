# Completion of outlast(1) for fish.
set -l verbs status list show cat log explain retry hold release delete revive sites probe metrics config reload ping \
	check-config salvage version help
complete -c outlast -f
complete -c outlast -n "not __fish_seen_subcommand_from $verbs" -a "$verbs"
complete -c outlast -s c -l config -r -F -d 'configuration'
complete -c outlast -l socket -r -F -d 'control socket'
complete -c outlast -l json -d 'JSON lines'
complete -c outlast -l ids -d 'ids only'
complete -c outlast -l count -d 'how many'
complete -c outlast -l mailq -d 'as mailq'
complete -c outlast -l dry-run -d 'change nothing'
complete -c outlast -s y -l yes -d 'do not ask'
complete -c outlast -l all -d 'everything'
for option in from to domain site hop older newer size tries code user priority limit reason
	complete -c outlast -l $option -x
end
complete -c outlast -l sort -x -a 'age size next'
complete -c outlast -l state -x -a 'ready waiting held quarantined failed delivered deleted queued finished any'
complete -c outlast -n '__fish_seen_subcommand_from check-config salvage' -F
complete -c outlast -n '__fish_seen_subcommand_from config' -a show
