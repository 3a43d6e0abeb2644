/*
 * Waits for a few milliseconds, again and again, and makes a child after each wait; the children wait for ever. Whoever
 * lets it go back into a wait that is over has it make one more.
 */
#include "../../subjects/subject.h"

#include <poll.h>

#define MOST 100

int main(void)
{
	subject_init();
	ready();
	for (int children = 0; !term_requested; children++) {
		poll(NULL, 0, 15);
		if (children < MOST && !fork())
			for (;;)
				pause();
	}
	finish();
}
