#include "config.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

#define BLOCK ((size_t)256 << 10)	/* a read: large enough that the call's cost vanishes */

static int fail_errno(const char *verb, const char *path)
{
	int e = errno, code = RAG_EIO;

	if (e == ENOENT || e == ENOTDIR)
		return err_set(RAG_ENOENT, "no such file: '%s'", path);
	if (e == EACCES || e == EPERM)
		code = RAG_EDENIED;
	else if (e == ENOSPC || e == EDQUOT)
		code = RAG_EFULL;
	return err_set(code, "cannot %s '%s': %s", verb, path, strerror(e));
}

static void info_of(struct file_info *out, const struct stat *st)
{
	out->type = FILE_OTHER;
	out->what = "of an unknown kind";
	if (S_ISREG(st->st_mode)) {
		out->type = FILE_REGULAR;
		out->what = "a file";
	} else if (S_ISDIR(st->st_mode)) {
		out->type = FILE_FOLDER;
		out->what = "a folder";
	} else if (S_ISFIFO(st->st_mode)) {
		out->what = "a pipe";
	} else if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		out->what = "a device";
	} else if (S_ISSOCK(st->st_mode)) {
		out->what = "a socket";
	}
	out->size = st->st_size > 0 ? (uint64_t)st->st_size : 0;
	out->mtime = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
	out->dev = st->st_dev;
	out->ino = st->st_ino;
}

int file_info(struct file_info *out, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		if (errno == ELOOP)
			return err_set(RAG_EINVAL, "symbolic links go in a circle: '%s'", path);
		return fail_errno("read", path);
	}
	info_of(out, &st);
	return RAG_OK;
}

int file_info_fd(struct file_info *out, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(RAG_EIO, "cannot look at a descriptor: %s", strerror(errno));
	info_of(out, &st);
	return RAG_OK;
}

int file_open(int *fd, struct file_info *out, const char *path)
{
	int rc, f;

	*fd = -1;
	/* Looked at first, because opening a device can have effects (a tape rewinds),
	 * and again through the descriptor, because the name may have changed hands. */
	rc = file_info(out, path);
	if (rc)
		return rc;
	if (out->type != FILE_REGULAR)
		return err_set(RAG_EINVAL, "not a regular file: '%s' is %s", path, out->what);
	f = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (f < 0)
		return fail_errno("read", path);
	rc = file_info_fd(out, f);
	if (!rc && out->type != FILE_REGULAR)
		rc = err_set(RAG_EINVAL, "not a regular file: '%s' is %s", path, out->what);
	if (rc) {
		close(f);
		return rc;
	}
	*fd = f;
	return RAG_OK;
}

int file_canonical(char **out, const char *path)
{
	char *real = realpath(path, NULL);

	*out = NULL;
	if (!real) {
		if (errno == ELOOP)
			return err_set(RAG_EINVAL, "symbolic links go in a circle: '%s'", path);
		return fail_errno("read", path);
	}
	*out = mem_strdup(real);
	free(real);	/* realpath()'s own malloc */
	return *out ? RAG_OK : RAG_ENOMEM;
}

int file_uri(struct buf *out, const char *path)
{
	static const char plain[] = "/-._~!$&'()*+,;=:@";	/* RFC 3986: pchar and '/' */
	size_t before = out->len;
	int rc = buf_adds(out, "file://");

	for (const char *s = path; !rc && *s; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    strchr(plain, c))
			rc = buf_addc(out, *s);
		else
			rc = buf_addf(out, "%%%02X", c);
	}
	if (rc)
		out->len = before;
	return rc;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int file_from_uri(char **out, const char *uri)
{
	const char *s = uri;
	struct buf b = BUF_INIT;
	int rc = RAG_OK;

	*out = NULL;
	if (strncmp(s, "file:", 5))
		return err_set(RAG_EINVAL, "not a file: URI: '%s'", uri);
	s += 5;
	if (!strncmp(s, "//localhost/", 12))
		s += 11;
	else if (!strncmp(s, "///", 3))
		s += 2;
	if (s[0] != '/' || s[1] == '/')
		return err_set(RAG_EINVAL, "a file: URI of another machine: '%s'", uri);
	for (; !rc && *s; s++) {
		int hi, lo;

		if (*s != '%') {
			rc = buf_addc(&b, *s);
			continue;
		}
		hi = hex(s[1]);
		lo = hi < 0 ? -1 : hex(s[2]);
		if (lo < 0 || hi * 16 + lo == 0)
			rc = err_set(RAG_EINVAL, "a wrong %% escape in '%s'", uri);
		else
			rc = buf_addc(&b, (char)(hi * 16 + lo));
		s += 2;
	}
	if (!rc) {
		*out = buf_detach(&b);
		if (!*out)
			rc = RAG_ENOMEM;
	}
	buf_release(&b);
	return rc;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int file_names(struct file_names *out, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int rc = RAG_OK;

	memset(out, 0, sizeof(*out));
	if (!d)
		return fail_errno("read", dir);
	while (errno = 0, (e = readdir(d)) != NULL) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (out->n == out->cap) {
			size_t cap = out->cap ? 2 * out->cap : 32;
			char **v = mem_realloc(out->v, cap, sizeof(*v));

			if (!v) {
				rc = RAG_ENOMEM;
				goto fail;
			}
			out->v = v;
			out->cap = cap;
		}
		out->v[out->n] = mem_strdup(e->d_name);
		if (!out->v[out->n]) {
			rc = RAG_ENOMEM;
			goto fail;
		}
		out->n++;
	}
	if (errno) {
		rc = fail_errno("read", dir);
		goto fail;
	}
	closedir(d);
	if (out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_bytes);
	return RAG_OK;
fail:
	closedir(d);
	file_names_release(out);
	return rc;
}

void file_names_release(struct file_names *f)
{
	for (size_t i = 0; i < f->n; i++)
		mem_free(f->v[i]);
	mem_free(f->v);
	memset(f, 0, sizeof(*f));
}

int file_memory(int *fd, const char *what)
{
	*fd = memfd_create(what, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return err_set(RAG_EIO, "cannot make a file in memory: %s", strerror(errno));
	return RAG_OK;
}

int file_write(int fd, const void *p, size_t n)
{
	const char *s = p;

	while (n) {
		ssize_t k = write(fd, s, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_set(errno == ENOSPC ? RAG_EFULL : RAG_EIO, "cannot write: %s",
				       strerror(errno));
		s += k;
		n -= (size_t)k;
	}
	return RAG_OK;
}

int file_seal(int fd)
{
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return err_set(RAG_EIO, "cannot seal a file in memory: %s", strerror(errno));
	return RAG_OK;
}

int file_drain(int to, int from, uint64_t max, const char *what, const struct progress *p)
{
	uint64_t got = 0;
	char *block = mem_alloc(BLOCK);
	int rc = block ? RAG_OK : RAG_ENOMEM;

	while (!rc) {
		struct pollfd pf = { from, POLLIN, 0 };
		ssize_t k;
		int ready = poll(&pf, 1, 100);

		rc = progress_tick(p, "fetch", what, got, 0);
		if (rc || ready == 0 || (ready < 0 && errno == EINTR))
			continue;
		k = read(from, block, BLOCK);
		if (k < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (k < 0)
			rc = fail_errno("read", what);
		if (k <= 0)
			break;
		got += (uint64_t)k;
		if (got > max)
			rc = err_set(RAG_ELIMIT, "'%s' has more than %llu bytes", what,
				     (unsigned long long)max);
		else
			rc = file_write(to, block, (size_t)k);
	}
	mem_free(block);
	return rc;
}

int file_hash(uint8_t out[HASH_LEN], uint64_t *size, int fd, const char *what,
	      const struct progress *p)
{
	struct hash_state h;
	uint64_t at = 0;
	char *block = mem_alloc(BLOCK);
	int rc = block ? RAG_OK : RAG_ENOMEM;

	hash_begin(&h);
	while (!rc) {
		ssize_t k = pread(fd, block, BLOCK, (off_t)at);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			rc = fail_errno("read", what);
		if (k <= 0)
			break;
		hash_add(&h, block, (size_t)k);
		at += (uint64_t)k;
		if (at % ((uint64_t)64 << 20) < BLOCK)
			rc = progress_tick(p, "scan", what, 0, 0);
	}
	hash_end(out, &h);
	*size = at;
	mem_free(block);
	return rc;
}

void file_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

int file_make_parents(const char *path)
{
	char *p = mem_strdup(path), *slash = p;
	int rc = RAG_OK;

	if (!p)
		return RAG_ENOMEM;
	while (!rc && (slash = strchr(slash + 1, '/'))) {
		*slash = 0;
		if (mkdir(p, 0700) && errno != EEXIST)
			rc = err_set(errno == EACCES ? RAG_EDENIED : RAG_EIO,
				     "cannot make folder '%s': %s", p, strerror(errno));
		*slash = '/';
	}
	mem_free(p);
	return rc;
}
