/* For -m32: a program of another ELF class. */
#include "../../subjects/subject.h"

int main(void)
{
	subject_init();
	ready();
	wait_for_term();
	check(sizeof(void *) == 4, "32-bit", "-");
	finish();
}
