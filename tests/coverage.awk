# coverage.awk FILE.gcda... - lines run, for each source of ours and in all (make coverage).
BEGIN {
	for (i = 1; i < ARGC; i++) {
		dir = ARGV[i]
		sub(/[^\/]*$/, "", dir)
		command = "gcov -n -o " dir " " ARGV[i] " 2>/dev/null"
		while ((command | getline line) > 0) {
			if (line ~ /^File /) {
				split(line, part, "'")
				file = part[2]
				gsub(/^(\.\.\/)+/, "", file)
			} else if (line ~ /^Lines executed/ && file !~ /^\/|^tests\//) {
				gsub(/[^0-9. ]/, "", line)
				split(line, number, " ")
				# A file that several programs hold counts as the one that ran most of it.
				if (number[1] * number[2] / 100 >= run[file]) {
					run[file] = number[1] * number[2] / 100
					lines[file] = number[2]
				}
			}
		}
		close(command)
	}
	for (file in lines) {
		printf "%5.1f %% of %5d  %s\n", 100 * run[file] / lines[file], lines[file], file | "sort -k 5"
		total += lines[file]
		hit += run[file]
	}
	close("sort -k 5")
	printf "%5.1f %% of %5d  in all\n", total ? 100 * hit / total : 0, total
}
