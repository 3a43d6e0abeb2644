/*
 * Appends a line a step to a file, after a call under Syscall User Dispatch that no kernel knows: one that
 * was lost, leaked or seen twice makes a line of its own.
 * Usage: emulator STEPS FILE PAUSE
 */
#include "../../subjects/sud.h"

#include <fcntl.h>

static volatile char selector = SUD_BLOCK;

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	int steps = atoi(argv[1]);
	int file = open(argv[2], O_WRONLY | O_CREAT | O_APPEND, 0600);
	int pause = atof(argv[3]) * 1000;
	struct sud_count count = { 0 };

	sud_install(sud_handler, 0);
	sud_arm(sud_outside_libc(&selector));
	for (int step = 0; step < steps; step++) {
		if (!sud_issue_next(&count))
			dprintf(file, "step %d was not dispatched\n", step);
		dprintf(file, "%d\n", step);
		sleep_ms(pause);
	}
	return 0;
}
