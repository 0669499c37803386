#include "config.h"
#include "tests/tap.h"

#include "base/map.h"
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdlib.h>

/* Gives every file of a corpus to the entry; under a sanitizer a fault ends
 * the program here.  argv[1]: the directory; else the program's own, by name. */
int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/'), *srcdir = getenv("srcdir");
	char dir[2048], path[4096];
	struct dirent *e;
	struct map m;
	int n = 0;
	DIR *d;

	name = name ? name + 1 : argv[0];
	if (!strncmp(name, "lt-", 3))	/* libtool runs programs under this name */
		name += 3;
	if (argc > 1)
		snprintf(dir, sizeof(dir), "%s", argv[1]);
	else
		snprintf(dir, sizeof(dir), "%s/tests/fuzz/%.*s", srcdir ? srcdir : ".",
			 (int)strcspn(name, "-"), name);
	d = opendir(dir);
	ok(d != NULL, "corpus '%s'", dir);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (!ok(map_open(&m, path) == RAG_OK, "%s", e->d_name))
			continue;
		LLVMFuzzerTestOneInput(m.data, m.len);
		map_close(&m);
		n++;
	}
	if (d)
		closedir(d);
	ok(n > 0, "%d inputs replayed", n);
	return tap_done();
}
