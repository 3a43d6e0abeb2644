/*
 * What a program may do with its vDSO: unmap the code, the pages of time or all of it, move the parts away from each
 * other, protect it. Usage: mem_vdso code|data|all|moved|protected
 */
#include "mem.h"

/* Where the mapping of a name lies; from is 0 where there is none. */
struct part {
	unsigned long from, to;
	char perms[5];
};

static const char *const names[] = { "[vvar]", "[vvar_vclock]", "[vdso]" };
#define CODE 2
#define COUNT 3

static void find(struct part parts[COUNT])
{
	FILE *file = fopen("/proc/self/maps", "r");
	char line[512];

	memset(parts, 0, COUNT * sizeof(*parts));
	while (file && fgets(line, sizeof(line), file))
		for (int i = 0; i < COUNT; i++) {
			struct part part;
			char name[256] = "";

			if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %255s", &part.from, &part.to, part.perms, name) >= 3 &&
			    !strcmp(name, names[i]))
				parts[i] = part;
		}
	if (file)
		fclose(file);
}

int main(int argc, char **argv)
{
	const char *how = arg(argc, argv, 1, "code");
	struct part before[COUNT], after[COUNT];

	subject_init();
	find(before);
	if (!before[CODE].from)
		unsupported("no vDSO");
	for (int i = 0; i < COUNT; i++) {
		size_t size = before[i].to - before[i].from;

		if (!size)
			continue;
		if (!strcmp(how, i == CODE ? "code" : "data") || !strcmp(how, "all")) {
			if (munmap((void *)before[i].from, size))
				die("munmap");
		} else if (!strcmp(how, "moved")) {
			/* With a page between them. */
			char *to = map(NULL, size + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if (mremap((void *)before[i].from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGE) ==
			    MAP_FAILED)
				die("mremap");
		} else if (!strcmp(how, "protected") && i == CODE && mprotect((void *)before[i].from, size, PROT_READ))
			die("mprotect");
	}
	find(before);
	char *code = malloc(before[CODE].to - before[CODE].from + 1);
	memcpy(code, (void *)before[CODE].from, before[CODE].to - before[CODE].from);
	ready();
	wait_for_term();

	find(after);
	for (int i = 0; i < COUNT; i++)
		check(before[i].from == after[i].from && before[i].to == after[i].to &&
			      !strcmp(before[i].perms, after[i].perms),
		      names[i], "%lx-%lx %s instead of %lx-%lx %s", after[i].from, after[i].to, after[i].perms,
		      before[i].from, before[i].to, before[i].perms);
	check(!memcmp(code, (void *)after[CODE].from, after[CODE].to - after[CODE].from), "code", "it differs");
	finish();
}
