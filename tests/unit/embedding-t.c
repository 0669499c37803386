/* Token vectors on their way from an embedder into a store. */
#include "config.h"
#include "tests/tap.h"
#include "tests/tiny_bert.h"

#include "base/mem.h"
#include "index/late.h"
#include "index/store_impl.h"
#include "ingest/pipeline.h"
#include "model/embed.h"

#include <stdlib.h>

static char dir[] = "/tmp/embedding-t.XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[4][128];
	static int i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static struct embed *open_embed(struct par *par)
{
	struct embed *e;

	if (embed_open(&e, dir, ENCODER_INT8, par)) {
		printf("Bail out! %s\n", err_msg());
		exit(1);
	}
	return e;
}

static struct store *open_store(const char *name)
{
	struct store *s;

	if (store_open(&s, in_dir(name), &(struct store_opts){ true, 0, 0 })) {
		printf("Bail out! %s\n", err_msg());
		exit(1);
	}
	return s;
}

static enum ingest_outcome last;

static void see(void *arg, const struct ingested *i)
{
	(void)arg;
	last = i->outcome;
}

/* A document of n chunks, of 40 letters each. */
static int add(struct store *s, struct embed *e, const char *uri, size_t n)
{
	struct ingest_opts o = INGEST_OPTS_INIT;
	struct ingest_chunk c[64];
	char text[64][128];
	int rc;

	o.ingested = see;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < 40; k++) {
			text[i][2 * k] = (char)('a' + (i * 7 + k * (i + 3) + (size_t)uri[0]) % 26);
			text[i][2 * k + 1] = ' ';
		}
		c[i] = (struct ingest_chunk){ text[i], 80, NULL };
	}
	rc = ingest_chunks(NULL, s, e, uri, NULL, c, n, NULL, 0, &o);
	if (rc)
		printf("# %s\n", err_msg());
	return rc;
}

/* Chunks below end with tokens, all of which go into *hash with the space. */
static size_t tokens(uint8_t hash[HASH_LEN], struct store *s, uint64_t end)
{
	struct hash_state h;
	struct store_snap *v;
	const void *p;
	size_t n = 0, len;

	hash_begin(&h);
	if (store_snap(&v, s))
		return 0;
	if (!store_space(&p, &len, v))
		hash_add(&h, p, len);
	for (uint64_t id = 1; id < end; id++)
		if (!store_tokens(&p, &len, v, id)) {
			hash_add(&h, p, len);
			n += len > 0 && len % LATE_TOKEN == 0 && len <= 42 * LATE_TOKEN;
		}
	store_snap_end(v);
	hash_end(hash, &h);
	return n;
}

static void test_threads(void)
{
	uint8_t first[HASH_LEN], hash[HASH_LEN];

	for (int threads = 1; threads <= 3; threads++) {
		char name[16];
		struct par *par = NULL;
		struct embed *e;
		struct store *s;

		par_new(&par, threads);
		e = open_embed(par);
		snprintf(name, sizeof(name), "store%d", threads);
		s = open_store(name);
		ok(!add(s, e, "a", 64) && !add(s, e, "b", 1) && !add(s, e, "c", 64),
		   "%d threads take documents", threads);
		is_int((long long)tokens(hash, s, 130), 129, "each chunk has tokens");
		is_int(store_verify(s, NULL, NULL), RAG_OK, "the store is whole");
		if (threads == 1)
			memcpy(first, hash, HASH_LEN);
		ok(!memcmp(first, hash, HASH_LEN), "the same bytes");
		store_close(s);
		embed_close(e);
		par_free(par);
	}
}

static int drop(struct tx *t, void *arg)
{
	(void)arg;
	return tokens_drop(t, t->st.generation);
}

/* One of before there were token vectors. */
static void test_older(void)
{
	struct embed *e = open_embed(NULL);
	struct store *s = open_store("older");
	uint8_t hash[HASH_LEN], whole[HASH_LEN];

	is_int(add(s, e, "a", 5), RAG_OK, "a document");
	tokens(whole, s, 6);
	ok(!store_txn(s, drop, NULL) && tokens(hash, s, 6) == 0, "without token vectors");
	is_int(store_verify(s, NULL, NULL), RAG_OK, "as in a store of before");
	ok(!add(s, e, "a", 5) && last == INGEST_REPLACED && tokens(hash, s, 20) == 5, "gets them when it comes again");
	ok(!memcmp(hash, whole, HASH_LEN), "as it would have had them");
	ok(!add(s, e, "a", 5) && last == INGEST_UNCHANGED, "once");
	is_int(store_verify(s, NULL, NULL), RAG_OK, "the store is whole");
	store_close(s);
	embed_close(e);
}

static void test_memory(void)
{
	struct embed *e = open_embed(NULL);
	struct store *s = open_store("memory");
	bool codes = true, done = false;

	for (unsigned long n = 1; !done && n < 5000; n++) {
		int rc;

		mem_fail_at(n);
		rc = add(s, e, "a", 3);
		mem_fail_at(0);
		done = !rc;
		codes = codes && (!rc || rc == RAG_ENOMEM);
	}
	ok(done && codes && !store_verify(s, NULL, NULL), "each allocation may fail");
	store_close(s);
	embed_close(e);
}

int main(void)
{
	char cmd[128];

	if (!mkdtemp(dir) || !tiny_bert_write(dir, &(struct tiny_bert){ 0 })) {
		printf("Bail out! cannot write to %s\n", dir);
		return 1;
	}
	test_threads();
	test_older();
	test_memory();
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd) ? 99 : tap_done();
}
