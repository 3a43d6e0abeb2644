/*
 * Catches every signal that ends an injected program, and says at once when one comes.
 */
#include "../../subjects/subject.h"

static void heard(int sig)
{
	say("HEARD %d", sig);
}

int main(void)
{
	static const int all[] = { SIGURG, SIGWINCH, SIGCHLD, SIGCONT, SIGIO };

	subject_init();
	for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++)
		sigaction(all[i], &(struct sigaction){ .sa_handler = heard }, NULL);
	ready();
	wait_for_term();
	finish();
}
