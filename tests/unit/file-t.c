#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/tap.h"

static char dir[64];

static const char *in_dir(const char *name)
{
	static char path[4][256];
	static int i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(in_dir(name), "w");

	if (f) {
		fputs(text, f);
		fclose(f);
	}
}

static void test_uri(void)
{
	static const char *const t[][2] = {
		{ "/a/b.txt", "file:///a/b.txt" },
		{ "/a b/100%.txt", "file:///a%20b/100%25.txt" },
		{ "/\xC3\xA4#?[x]", "file:///%C3%A4%23%3F%5Bx%5D" },
		{ "/\xFF\x01", "file:///%FF%01" },
	};
	static const char *const bad[] = {
		"file://host/a", "file:a", "file:", "file:///a%", "file:///a%2", "file:///a%zz",
		"file:///a%00b", "http://x/", "file:////host/a",
	};
	struct buf b = BUF_INIT;
	char *path;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		buf_clear(&b);
		is_int(file_uri(&b, t[i][0]), RAG_OK, "to a URI");
		is_str(buf_str(&b), t[i][1], "as RFC 3986 has it");
		is_int(file_from_uri(&path, t[i][1]), RAG_OK, "and back");
		is_str(path, t[i][0], "the same path");
		mem_free(path);
	}
	is_int(file_from_uri(&path, "file://localhost/x"), RAG_OK, "localhost");
	is_str(path, "/x", "is this machine");
	mem_free(path);
	is_int(file_from_uri(&path, "file:/x"), RAG_OK, "one slash");
	mem_free(path);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_int(file_from_uri(&path, bad[i]), RAG_EINVAL, bad[i]);
	buf_release(&b);
}

static void test_open(void)
{
	struct file_info info;
	int fd;

	is_int(file_open(&fd, &info, in_dir("none")), RAG_ENOENT, "missing");
	is_int(file_open(&fd, &info, dir), RAG_EINVAL, "a folder");
	is_int(file_open(&fd, &info, "/dev/zero"), RAG_EINVAL, "a device");
	ok(strstr(err_msg(), "device"), "says so");
	mkfifo(in_dir("pipe"), 0600);
	is_int(file_open(&fd, &info, in_dir("pipe")), RAG_EINVAL, "a pipe, without waiting");
	if (symlink("round", in_dir("round")))
		tap_skip(1, "no symbolic links");
	else
		is_int(file_open(&fd, &info, in_dir("round")), RAG_EINVAL, "a link to itself");
	put("secret", "x");
	chmod(in_dir("secret"), 0);
	if (geteuid() == 0)
		tap_skip(1, "root may read everything");
	else
		is_int(file_open(&fd, &info, in_dir("secret")), RAG_EDENIED, "unreadable");
	put("plain", "some text");
	is_int(file_open(&fd, &info, in_dir("plain")), RAG_OK, "a file");
	is_int((long long)info.size, 9, "size");
	close(fd);
}

static int stop(void *arg, const struct progress_at *at)
{
	(void)at;
	return ++*(int *)arg > 2;
}

static void test_bytes(void)
{
	struct file_names names;
	struct file_info info;
	uint8_t got[HASH_LEN], want[HASH_LEN];
	uint64_t size;
	int fd, mem, ends[2], ticks = 0;
	struct progress p = { stop, &ticks };

	is_int(file_open(&fd, &info, in_dir("plain")), RAG_OK, "open");
	is_int(file_hash(got, &size, fd, "plain", NULL), RAG_OK, "hash");
	hash_bytes(want, "some text", 9);
	ok(size == 9 && !memcmp(got, want, HASH_LEN), "of all bytes");
	is_int(file_memory(&mem, "t"), RAG_OK, "memory");
	is_int(file_drain(mem, fd, 9, "plain", NULL), RAG_OK, "drained, as long as allowed");
	is_int(file_hash(got, &size, mem, "t", NULL), RAG_OK, "hash again");
	ok(!memcmp(got, want, HASH_LEN), "the same");
	is_int(file_seal(mem), RAG_OK, "seal");
	ok(write(mem, "x", 1) < 0, "no more writing");
	close(mem);
	close(fd);

	is_int(file_memory(&mem, "t"), RAG_OK, "memory");
	fd = open("/dev/zero", O_RDONLY);
	is_int(file_drain(mem, fd, 1 << 20, "zero", NULL), RAG_ELIMIT, "an endless stream");
	close(fd);
	if (pipe(ends) == 0) {
		is_int(file_drain(mem, ends[0], 100, "pipe", &p), RAG_ECANCEL, "a silent pipe is cancelled");
		close(ends[0]);
		close(ends[1]);
	}
	close(mem);

	put("b", "");
	put("a", "");
	put(".hidden", "");
	is_int(file_names(&names, dir), RAG_OK, "names");
	ok(names.n >= 5 && !strcmp(names.v[0], ".hidden") && !strcmp(names.v[1], "a") &&
	   !strcmp(names.v[2], "b"), "sorted");
	file_names_release(&names);
	is_int(file_names(&names, in_dir("a")), RAG_ENOENT, "not a folder");
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");
	char cmd[128];

	snprintf(dir, sizeof(dir), "%.40s/file-t.XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	if (!mkdtemp(dir))
		return 99;
	test_uri();
	test_open();
	test_bytes();
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd) ? 99 : tap_done();
}
