/* Locked memory: at once, on fault, and all of the future by mlockall(). Usage: mem_mlock [future] */
#include "mem.h"

int main(int argc, char **argv)
{
	bool future = !strcmp(arg(argc, argv, 1, ""), "future");
	int rw = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	struct mapping m;

	subject_init();
	char *locked = map(NULL, 8 * PAGE, rw, flags, -1, 0);
	/* Other permissions between them, so that neighbours never merge. */
	char *onfault = map(NULL, 8 * PAGE, rw | PROT_EXEC, flags, -1, 0);
	fill_pages(locked, 8 * PAGE, 1);
	if (mlock(locked + 2 * PAGE, 4 * PAGE))
		die("mlock");
	if (mlock2(onfault, 8 * PAGE, MLOCK_ONFAULT))
		die("mlock2");
	fill_page(onfault, 2, 0);
	if (future && mlockall(MCL_FUTURE))
		die("mlockall");
	ready();
	wait_for_term();

	check_pages("contents", locked, 8 * PAGE, 1);
	mapping_of(locked + 2 * PAGE, &m);
	check(strstr(m.flags, " lo") && m.locked_kb == 16 && m.end - m.start == 4 * PAGE, "locked pages",
	      "%lu kB, flags%s", m.locked_kb, m.flags);
	mapping_of(locked, &m);
	check(!strstr(m.flags, " lo"), "pages before", "locked");
	mapping_of(onfault, &m);
	check(strstr(m.flags, " lo") && m.rss_kb == 4, "locked on fault", "%lu kB there, flags%s", m.rss_kb,
	      m.flags);
	check(page_is(onfault, 2, 0), "its contents", "they changed");
	char *later = map(NULL, 4 * PAGE, PROT_READ, flags, -1, 0);
	mapping_of(later, &m);
	check_equal("future mappings are locked", strstr(m.flags, " lo") != NULL, future);
	finish();
}
