# Rounds of a generator for each line of a file; prints the state every 1000 lines.
BEGIN { state = 1 }
{
	state += $1
	for (round = 0; round < rounds; round++)
		state = (state * 16807 + 11) % 2147483647
}
NR % 1000 == 0 { print "step", NR / 1000 - 1, state; fflush() }
END { print "done" }
