/* One sleep, and a word on stdout when it is over. */
#include "../../subjects/subject.h"

int main(void)
{
	struct timespec time = { 0, 300000000 };

	subject_init();
	ready();
	nanosleep(&time, NULL);
	printf("over=1\n");
	fflush(stdout);
	wait_for_term();
	check(true, "came to its end", "-");
	finish();
}
