/* Many mappings, each with contents and permissions that differ from its neighbours'. Usage: mem_many [N=1000] */
#include "mem.h"

int main(int argc, char **argv)
{
	long n = atol(arg(argc, argv, 1, "1000"));

	subject_init();
	char *start = map(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (long i = 0; i < n; i++) {
		if (i % 5 != 4)
			fill_page(start + i * PAGE, i, 0);
		if (i % 2 && mprotect(start + i * PAGE, PAGE, i % 4 == 1 ? PROT_READ : PROT_READ | PROT_EXEC))
			die("mprotect(%ld): more than vm.max_map_count?", i);
	}
	fact("start", "%p", (void *)start);
	ready();
	wait_for_term();

	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512], perms[5];
	unsigned long from, to;
	long right = 0, wrong = 0;
	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %4s", &from, &to, perms) != 3)
			continue;
		if (from < (unsigned long)start || from >= (unsigned long)start + n * PAGE)
			continue;
		long i = (from - (unsigned long)start) / PAGE;
		const char *want = i % 2 == 0 ? "rw-p" : i % 4 == 1 ? "r--p" : "r-xp";
		if (!strcmp(perms, want) && (to == from + PAGE || i >= n - 1 || i == 0))
			right++;
		else
			wrong++;
	}
	check(wrong == 0 && right >= n - 1, "mappings", "%ld right, %ld wrong of %ld", right, wrong, n);
	long changed = 0;
	for (long i = 0; i < n; i++)
		changed += i % 5 == 4 ? !page_is_zero(start + i * PAGE) : !page_is(start + i * PAGE, i, 0);
	check_equal("changed pages", changed, 0);
	finish();
}
