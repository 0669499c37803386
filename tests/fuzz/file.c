#include "config.h"
#include "tests/fuzz/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/ragstone-fuzz.XXXXXX";
static int fd = -1;

static void clean(void)
{
	unlink(path);
}

const char *fuzz_file(const uint8_t *data, size_t size)
{
	if (fd < 0) {
		fd = mkstemp(path);
		atexit(clean);
	}
	if (fd < 0 || ftruncate(fd, 0) < 0 ||
	    pwrite(fd, data, size, 0) != (ssize_t)size) {
		perror(path);
		abort();
	}
	return path;
}
