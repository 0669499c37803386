#include "config.h"
#include "tests/tap.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/progress.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

static void test_err(void)
{
	err_set(RAG_EIO, "inner '%d'", 7);
	is_int(err_set(RAG_EIO, "outer: %s", err_msg()), RAG_EIO, "err_set returns its code");
	is_str(err_msg(), "outer: inner '7'", "a message may quote the one before");
	err_within(RAG_EIO, "file");
	is_str(err_msg(), "file: outer: inner '7'", "err_within prefixes");
	is_str(err_name(RAG_EDENIED), "denied", "the last code has a name");
	is_str(err_name(-99), "unknown error", "a code from the future is named too");
}

static void test_mem(void)
{
	void *p;

	mem_fail_at(2);
	p = mem_alloc(8);
	ok(p != NULL, "the first allocation passes");
	ok(mem_calloc(1, 8) == NULL, "the second fails");
	ok(mem_realloc(NULL, SIZE_MAX, 2) == NULL, "an overflowing size is refused");
	mem_fail_at(0);
	mem_free(p);
}

static void test_buf(void)
{
	struct buf b = BUF_INIT_MAX(10);

	ok(!strcmp(buf_str(&b), ""), "an empty buf reads as an empty string");
	is_int(buf_addf(&b, "%s-%d", "abc", 42), RAG_OK, "formatted text fits");
	is_int(buf_adds(&b, "12345"), RAG_ELIMIT, "the ceiling holds");
	is_str(buf_str(&b), "abc-42", "and leaves the contents alone");
	is_int(buf_adds(&b, "1234"), RAG_OK, "exactly to the ceiling");
	buf_release(&b);
}

static void test_hash(void)
{
	uint8_t one[HASH_LEN], two[HASH_LEN];
	char hex[HASH_HEX_LEN];
	struct hash_state h;

	hash_bytes(one, "abc", 3);
	hash_hex(hex, one);
	/* b2sum -l 256 of "abc" */
	is_str(hex, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319", "BLAKE2b-256 of abc");
	hash_begin(&h);
	hash_add(&h, "a", 1);
	hash_add(&h, "bc", 2);
	hash_end(two, &h);
	ok(!memcmp(one, two, HASH_LEN), "in pieces, the same");
}

struct sums {
	atomic_size_t total;
	unsigned char seen[10000];
};

static void add_piece(void *arg, size_t piece, int thread)
{
	struct sums *s = arg;

	(void)thread;
	s->seen[piece]++;
	atomic_fetch_add(&s->total, piece);
}

static void test_par(void)
{
	for (int threads = 1; threads <= 5; threads += 2) {
		static struct sums s;
		struct par *p = NULL;
		bool once = true;

		memset(&s, 0, sizeof(s));
		is_int(par_new(&p, threads), RAG_OK, "a pool starts");
		for (int round = 0; round < 200; round++)
			par_for(p, 50, add_piece, &s);
		par_for(p, 10000, add_piece, &s);
		for (size_t i = 0; i < 10000; i++)
			once = once && s.seen[i] == (i < 50 ? 201 : 1);
		ok(once, "%d threads: each piece once a round", threads);
		is_int((long long)s.total, 200LL * 1225 + 49995000, "and all of them");
		par_free(p);
	}
}

static void test_map(void)
{
	char name[] = "/tmp/ragstone-map-XXXXXX";
	int fd = mkstemp(name);
	struct map m;

	is_int(map_open(&m, name), RAG_OK, "an empty file maps");
	is_int((long long)m.len, 0, "as nothing");
	map_close(&m);
	ok(write(fd, "hello", 5) == 5 && !map_open(&m, name) && m.len == 5 &&
	   !memcmp(m.data, "hello", 5), "bytes are there");
	map_close(&m);
	close(fd);
	unlink(name);
	is_int(map_open(&m, name), RAG_ENOENT, "a missing file is named as such");
	is_int(map_open(&m, "/"), RAG_EINVAL, "a directory is refused");
}

static int stop_at_3(void *arg, const struct progress_at *at)
{
	(void)arg;
	return at->done >= 3;
}

static void test_progress(void)
{
	struct progress p = { stop_at_3, NULL };

	is_int(progress_tick(NULL, "scan", NULL, 9, 9), RAG_OK, "no callback, no stop");
	is_int(progress_tick(&p, "scan", NULL, 2, 9), RAG_OK, "go on");
	is_int(progress_tick(&p, "scan", NULL, 3, 9), RAG_ECANCEL, "stop");
}

int main(void)
{
	test_err();
	test_mem();
	test_buf();
	test_hash();
	test_par();
	test_map();
	test_progress();
	return tap_done();
}
