/* What the subjects of descriptors share: a look at one's own fdinfo, and the way to read without a wait. */
#ifndef FILES_H
#define FILES_H

#include "subject.h"

#include <fcntl.h>
#include <sys/stat.h>

/* A field of /proc/self/fdinfo/FD as text; false where it has none. */
static inline bool fdinfo(int fd, const char *field, char *value, size_t size)
{
	char path[64], line[256];
	size_t len = strlen(field);
	bool found = false;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	FILE *file = fopen(path, "r");
	while (file && !found && fgets(line, sizeof(line), file))
		if (!strncmp(line, field, len) && line[len] == ':') {
			char *text = line + len + 1;
			text += strspn(text, " \t");
			text[strcspn(text, "\n")] = 0;
			snprintf(value, size, "%s", text);
			found = true;
		}
	if (file)
		fclose(file);
	return found;
}

/* Reads what is there without waiting for more: the number of bytes, or -1 with EAGAIN for nothing. */
static inline ssize_t read_now(int fd, void *data, size_t size)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	ssize_t n = read(fd, data, size);
	int saved = errno;
	fcntl(fd, F_SETFL, flags);
	errno = saved;
	return n;
}

/* The `n`-th byte of data that is told apart by its seed. */
static inline unsigned char byte_at(int seed, size_t n)
{
	return seed * 37 + n * 131 + (n >> 8) * 17;
}

static inline void fill_bytes(unsigned char *data, size_t size, int seed)
{
	for (size_t i = 0; i < size; i++)
		data[i] = byte_at(seed, i);
}

static inline bool bytes_are(const unsigned char *data, size_t size, int seed)
{
	for (size_t i = 0; i < size; i++)
		if (data[i] != byte_at(seed, i))
			return false;
	return true;
}

#endif
