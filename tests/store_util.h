/*
 * store_util - small stores for tests: documents cut into chunks of CHUNK
 * bytes, each with a vector that its text alone decides.
 */
#ifndef RAG_TESTS_STORE_UTIL_H
#define RAG_TESTS_STORE_UTIL_H

#include "index/late.h"
#include "index/search.h"
#include "index/store.h"
#include "base/err.h"
#include "base/mem.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CHUNK 64
#define DIM 24

struct text_doc {
	const char *uri, *title, *type, *labels, *text;
	size_t len;		/* 0: strlen(text) */
	size_t dim;		/* 0: no vectors */
};

__attribute__((unused))
static char *tmp_dir(void)
{
	static char path[64];
	static int n;
	struct statvfs fs;
	/* in memory where there is room: these tests commit hundreds of times */
	bool shm = statvfs("/dev/shm", &fs) == 0 && fs.f_bavail * fs.f_frsize > (512u << 20) &&
		   access("/dev/shm", W_OK) == 0;

	snprintf(path, sizeof(path), "%s/ragstone-t.%ld.%d", shm ? "/dev/shm" : "/tmp", (long)getpid(), n++);
	return path;
}

static int rm_one(const char *path, const struct stat *sb, int flag, struct FTW *ftw)
{
	(void)sb;
	(void)flag;
	(void)ftw;
	return remove(path);
}

__attribute__((unused))
static void rm_tree(const char *path)
{
	nftw(path, rm_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* xorshift from the text's hash: components in -1 .. 1 */
__attribute__((unused))
static void vector_of(float *out, size_t dim, const char *s, size_t n)
{
	uint8_t h[HASH_LEN];
	uint64_t x;

	hash_bytes(h, s, n);
	memcpy(&x, h, sizeof(x));
	x |= 1;
	for (size_t i = 0; i < dim; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		out[i] = (float)(int32_t)(x >> 32) / 2147483648.0f;
	}
}

/* What has vectors has token vectors, too: after put_space(). */
static bool with_tokens;

/* Some tokens, by what the text begins with. */
__attribute__((unused))
static int stage_tokens_of(struct stage *st, const char *s, size_t n)
{
	uint8_t bytes[9 * LATE_TOKEN];
	struct store_bytes t = { bytes, (1 + (unsigned char)s[0] % 9) * LATE_TOKEN };

	memset(bytes, (int)n, sizeof(bytes));
	return stage_tokens(st, &t, 1);
}

__attribute__((unused))
static bool has_space(struct store *s)
{
	struct store_snap *v;
	const void *p;
	size_t n;
	bool yes;

	if (store_snap(&v, s))
		return false;
	yes = !store_space(&p, &n, v);
	store_snap_end(v);
	return yes;
}

/* Unless there is one. */
__attribute__((unused))
static int put_space(struct store *s, struct store_writer *w, size_t dim)
{
	struct late_learn *l = NULL;
	struct buf b = BUF_INIT;
	float *x;
	int rc;

	with_tokens = true;
	if (has_space(s))
		return RAG_OK;
	x = mem_calloc(dim, sizeof(*x));
	rc = x ? late_learn_new(&l, dim) : RAG_ENOMEM;

	for (size_t i = 0; !rc && i < dim; i++) {
		x[i] = 1;
		rc = late_learn_add(l, x, 1);
		x[i] = 0;
	}
	if (!rc)
		rc = late_learn_end(&b, l);
	if (!rc)
		rc = store_set_space(w, b.data, b.len);
	late_learn_free(l);
	buf_release(&b);
	mem_free(x);
	return rc;
}

__attribute__((unused))
static int stage_doc_of(struct stage **out, struct store_writer *w, const struct text_doc *d)
{
	struct stage_doc sd = { .uri = d->uri, .title = d->title, .type = d->type, .labels = d->labels };
	size_t len = d->len ? d->len : strlen(d->text);
	struct stage *st;
	int rc;

	hash_bytes(sd.source_hash, d->text, len);
	sd.source_size = len;
	rc = stage_begin(&st, w, &sd);
	if (rc)
		return rc;
	rc = stage_text(st, d->text, len);
	for (size_t at = 0; !rc && at < len; at += 1000) {
		struct store_mark m = { at, STORE_PAGE, (uint32_t)(at / 1000 + 1), "", 0 };

		rc = stage_marks(st, &m, 1);
	}
	for (size_t at = 0; !rc && at < len; at += CHUNK) {
		struct stage_chunk c = { at, at + CHUNK < len ? at + CHUNK : len, "Part > Section",
					 (uint32_t)(at / 1000 + 1), 1 };

		rc = stage_chunks(st, &c, 1);
	}
	for (size_t at = 0; !rc && d->dim && at < len; at += CHUNK) {
		float v[1024];

		vector_of(v, d->dim, d->text + at, at + CHUNK < len ? CHUNK : len - at);
		rc = stage_vectors(st, v, 1);
		if (!rc && with_tokens)
			rc = stage_tokens_of(st, d->text + at, len - at);
	}
	if (rc)
		stage_free(st);
	else
		*out = st;
	return rc;
}

/* Staged and published alone. */
__attribute__((unused))
static int put_doc(struct stage_result *r, struct store_writer *w, const struct text_doc *d)
{
	struct stage *st;
	int rc = stage_doc_of(&st, w, d);

	if (rc)
		return rc;
	rc = store_publish(r, w, &st, 1);
	stage_free(st);
	return rc;
}

/* n bytes of words that differ by seed; the caller frees.  No mem_alloc(): it never fails by intent. */
__attribute__((unused))
static char *text_make(size_t n, unsigned seed)
{
	char *s = malloc(n + 32);
	size_t len = 0;

	if (!s)
		abort();
	for (unsigned i = 0; len < n; i++)
		len += (size_t)sprintf(s + len, "%u-%u%s", seed, i * 7919 + seed, i % 9 == 8 ? ".\n" : " ");
	s[n] = 0;
	return s;
}

static const uint8_t print_a[HASH_LEN] = { 1, 2, 3 };

/* Opens dir, made if need be, for vectors of DIM. */
__attribute__((unused))
static int open_pair(struct store **s, struct store_writer **w, const char *dir, size_t map)
{
	struct store_opts o = { true, map, 0 };
	int rc = store_open(s, dir, &o);

	*w = NULL;
	if (!rc)
		rc = store_write_begin(w, *s);
	if (!rc)
		rc = store_set_generation(*w, "fixed 64", "tester", print_a, DIM);
	return rc;
}

__attribute__((unused))
static int find_dense(struct search_hits **out, struct store *s, const float *query, size_t dim,
		      size_t k, const struct filter *f)
{
	struct search_question q = { .vector = query, .dim = dim };
	struct search_opts o = { .k = k, .mode = SEARCH_DENSE, .filter = f };

	return search(out, s, &q, &o);
}

__attribute__((unused))
static void print_line(void *arg, const char *line)
{
	(void)arg;
	printf("# verify: %s\n", line);
}

#endif
