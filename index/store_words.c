#include "config.h"
#include "index/store.h"

#include <string.h>

#include "index/analyze.h"
#include "index/store_impl.h"

#define PUBLISH_ROWS 2048u		/* blocks of more are merged in transactions of their own */
#define PUBLISH_BYTES ((size_t)2 << 20)
#define BLOCK_ROWS 16384u		/* more are never merged: a run of pages that LMDB still finds */
#define BLOCK_BYTES ((size_t)16 << 20)
#define STEP_BYTES ((size_t)1 << 20)	/* of text, indexed in one transaction */
#define STEP_CHUNKS 2048u

static const char words_key[] = "words";

/* ---- settings --------------------------------------------------------------------- */

int words_state_put(struct tx *t, const struct words_state *ws)
{
	struct buf b = BUF_INIT;
	int rc = codec_addf(&b, ws->set.k1);

	if (!rc)
		rc = codec_addf(&b, ws->set.b);
	if (!rc)
		rc = codec_add32(&b, ws->set.stop | ws->version << 8);
	if (!rc)
		rc = codec_add64(&b, ws->todo);
	if (!rc)
		rc = codec_add64(&b, ws->todo_end);
	if (!rc)
		rc = codec_addstr(&b, ws->set.language, strlen(ws->set.language));
	if (!rc)
		rc = codec_seal(&b, 0);
	if (!rc)
		rc = tx_put(t, DB_META, words_key, sizeof(words_key) - 1, b.data, b.len);
	buf_release(&b);
	return rc;
}

int words_state_get(struct words_state *out, struct tx *t)
{
	struct codec_in in;
	const char *language;
	uint32_t flags;
	size_t n;
	MDB_val v;
	int rc = t->st.format < 2 ? RAG_ENOENT : tx_get(&v, t, DB_META, words_key, sizeof(words_key) - 1);

	if (rc)
		return rc;
	if (!codec_open(&in, v.mv_data, v.mv_size))
		return store_corrupt(t->s, "the record of its words fails its checksum");
	out->set.k1 = codec_readf(&in);
	out->set.b = codec_readf(&in);
	flags = codec_read32(&in);
	out->set.stop = flags & 1;
	out->version = flags >> 8;
	out->todo = codec_read64(&in);
	out->todo_end = codec_read64(&in);
	language = codec_readstr(&in, &n);
	if (!codec_done(&in) || n > STORE_LANGUAGE_MAX || out->todo > out->todo_end)
		return store_corrupt(t->s, "the record of its words is malformed");
	memcpy(out->set.language, language, n + 1);
	return RAG_OK;
}

int store_words(struct store_words *out, struct store_snap *v)
{
	struct words_state ws;
	int rc = words_state_get(&ws, &v->tx);

	if (rc == RAG_ENOENT || (!rc && ws.todo < ws.todo_end))
		return err_set(RAG_ENOENT, "store '%s' has no index of its words yet: an older ragstone made "
			       "it, and whoever writes it next adds that", v->tx.s->dir);
	if (!rc)
		*out = ws.set;
	return rc;
}

void words_title(const char **s, size_t *n, const char *context)
{
	size_t len = strlen(context), hex = 2 * HASH_LEN;

	*s = context;
	*n = len;
	/* behind the title of a document with its caller's vectors comes their hash */
	if (len > hex && context[len - hex - 1] == '\n' &&
	    strspn(context + len - hex, "0123456789abcdef") == hex)
		*n = len - hex - 1;
}

/* ---- blocks ----------------------------------------------------------------------- */

struct sources {
	struct wblock_source *src;	/* owned */
	size_t n, cap;
	uint64_t rows;
	size_t bytes;
	void **own;			/* (n_own) owned: copies and marks */
	size_t n_own, cap_own;
};

static void sources_release(struct sources *s)
{
	for (size_t i = 0; i < s->n_own; i++)
		mem_free(s->own[i]);
	mem_free(s->own);
	mem_free(s->src);
	memset(s, 0, sizeof(*s));
}

static int sources_add(struct sources *s, const struct wblock_source *src, size_t bytes)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 16;
		void *p = mem_realloc(s->src, cap, sizeof(*s->src));

		if (!p)
			return RAG_ENOMEM;
		s->src = p;
		s->cap = cap;
	}
	s->src[s->n++] = *src;
	s->bytes += bytes;
	return RAG_OK;
}

/* p, which may be NULL for want of memory, is s's from here on. */
static int sources_own(struct sources *s, void *p)
{
	if (s->n_own == s->cap_own) {
		size_t cap = s->cap_own ? 2 * s->cap_own : 16;
		void *q = mem_realloc(s->own, cap, sizeof(*s->own));

		if (!q) {
			mem_free(p);
			return RAG_ENOMEM;
		}
		s->own = q;
		s->cap_own = cap;
	}
	s->own[s->n_own++] = p;
	return p ? RAG_OK : RAG_ENOMEM;
}

static int wblock_get(struct wblock *out, const struct store *s, uint64_t no, const MDB_val *v)
{
	if (!wblock_open(out, v->mv_data, v->mv_size))
		return store_corrupt(s, "word block %llu is malformed", (unsigned long long)no);
	return RAG_OK;
}

/* A block goes to the sources, out of a copy and without its dead rows, and is deleted. */
static int take(struct tx *t, struct sources *s, struct hidden_list *dead, const MDB_val *key,
		const MDB_val *val)
{
	struct wblock_source src = { .base = 0 };
	uint8_t k[12], *drop;
	uint64_t no;
	void *copy = mem_dup(val->mv_data, val->mv_size);
	int rc = sources_own(s, copy);

	memcpy(k, key->mv_data, sizeof(k));
	no = codec_unkey64(k + 4);
	if (rc)
		return rc;
	if (!wblock_check(copy, val->mv_size))
		return store_corrupt(t->s, "word block %llu fails its checksum", (unsigned long long)no);
	rc = wblock_get(&src.b, t->s, no, &(MDB_val){ val->mv_size, copy });
	if (rc)
		return rc;
	src.drop = drop = mem_calloc(src.b.n, 1);
	rc = sources_own(s, drop);
	for (uint32_t i = 0; !rc && i < src.b.n; i++) {
		struct hidden_item *gone = hidden_dead(dead, wblock_id(&src.b, i));

		if (!gone) {
			s->rows++;
		} else if (!gone->h.rows) {
			rc = store_corrupt(t->s, "more dead words than known of");
		} else {
			gone->h.rows--;
			gone->changed = true;
			drop[i] = 1;
		}
	}
	if (!rc)
		rc = sources_add(s, &src, val->mv_size);
	return rc ? rc : tx_del(t, DB_WORDS, k, sizeof(k));
}

static int put(struct tx *t, uint32_t gen, const struct sources *s)
{
	struct buf b = BUF_INIT;
	uint8_t key[12];
	int rc = wblock_merge(&b, s->src, s->n);

	if (!rc && b.len) {
		key_gen64(key, gen, t->st.next_block++);
		rc = tx_put(t, DB_WORDS, key, sizeof(key), b.data, b.len);
	}
	buf_release(&b);
	return rc;
}

/* Like counting in binary: the new rows swallow the last block while it is no longer than they
 * are, so that a row is copied at most log2 times however the commits are cut. */
static int swallow(struct tx *t, uint32_t gen, struct sources *s, struct hidden_list *dead, uint64_t rows_max,
		   size_t bytes_max)
{
	struct wblock b;
	MDB_cursor *c;
	MDB_val key, val;
	int rc = tx_cursor(&c, t, DB_WORDS);

	while (!rc) {
		rc = block_last(&key, &val, t, c, gen);
		if (!rc)
			rc = wblock_get(&b, t->s, codec_unkey64((const uint8_t *)key.mv_data + 4), &val);
		if (rc || b.n > s->rows || b.n + s->rows > rows_max || val.mv_size + s->bytes > bytes_max)
			break;
		rc = take(t, s, dead, &key, &val);
	}
	mdb_cursor_close(c);
	return rc == RAG_ENOENT ? RAG_OK : rc;
}

int words_append(struct tx *t, uint32_t gen, const struct words_new *in, size_t n)
{
	struct sources s = { 0 };
	struct hidden_list dead = { 0 };
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i < n; i++) {
		struct wblock_source src = { .base = in[i].base };

		if (!wblock_open(&src.b, in[i].block->data, in[i].block->len))
			rc = err_set(RAG_ECORRUPT, "words were not turned into a block");
		else
			rc = sources_add(&s, &src, in[i].block->len);
		s.rows += rc ? 0 : src.b.n;
	}
	if (!rc && n)
		rc = hidden_load(&dead, t, DB_WORDS_HIDDEN, gen);
	if (!rc && n)
		rc = swallow(t, gen, &s, &dead, PUBLISH_ROWS, PUBLISH_BYTES);
	if (!rc && n)
		rc = put(t, gen, &s);
	if (!rc && n)
		rc = hidden_save(t, DB_WORDS_HIDDEN, gen, &dead);
	mem_free(dead.item);
	sources_release(&s);
	return rc;
}

/* ---- merging and compaction ---------------------------------------------------------------- */

struct tidy {
	uint64_t no;		/* of the block to be rewritten */
	bool merge;		/* with those before it */
};

static int tidy_txn(struct tx *t, void *arg)
{
	const struct tidy *job = arg;
	uint32_t gen = t->st.generation;
	struct sources s = { 0 };
	struct hidden_list dead;
	uint8_t k[12];
	MDB_val val;
	int rc = hidden_load(&dead, t, DB_WORDS_HIDDEN, gen);

	if (rc)
		return rc;
	key_gen64(k, gen, job->no);
	rc = tx_get(&val, t, DB_WORDS, k, sizeof(k));
	if (!rc)
		rc = take(t, &s, &dead, &(MDB_val){ sizeof(k), k }, &val);
	if (!rc && job->merge)
		rc = swallow(t, gen, &s, &dead, BLOCK_ROWS, BLOCK_BYTES);
	if (!rc)
		rc = put(t, gen, &s);
	if (!rc)
		rc = hidden_save(t, DB_WORDS_HIDDEN, gen, &dead);
	mem_free(dead.item);
	sources_release(&s);
	return rc == RAG_ENOENT ? RAG_OK : rc;
}

/* The last two blocks, the later of which is no shorter and which fit together. */
static int find_merge(struct tidy *out, bool *found, struct store_snap *v)
{
	uint32_t gen = v->tx.st.generation;
	struct wblock a, b;
	MDB_cursor *c;
	MDB_val key, val;
	size_t bytes;
	int rc = tx_cursor(&c, &v->tx, DB_WORDS);

	*found = false;
	if (!rc)
		rc = block_last(&key, &val, &v->tx, c, gen);
	if (!rc) {
		out->no = codec_unkey64((const uint8_t *)key.mv_data + 4);
		out->merge = true;
		bytes = val.mv_size;
		rc = wblock_get(&b, v->tx.s, out->no, &val);
	}
	if (!rc)
		rc = tx_seek(&key, &val, &v->tx, c, MDB_PREV);
	if (!rc && (key.mv_size != 12 || codec_unkey32(key.mv_data) != gen))
		rc = RAG_ENOENT;
	if (!rc)
		rc = wblock_get(&a, v->tx.s, codec_unkey64((const uint8_t *)key.mv_data + 4), &val);
	if (!rc)
		*found = a.n <= b.n && a.n + (uint64_t)b.n <= BLOCK_ROWS && val.mv_size + bytes <= BLOCK_BYTES;
	mdb_cursor_close(c);
	return rc == RAG_ENOENT ? RAG_OK : rc;
}

/* The first block from `from` on that is mostly dead, where a quarter of all rows are. */
static int find_dead(struct tidy *out, bool *found, struct store_snap *v, uint64_t from)
{
	uint32_t gen = v->tx.st.generation;
	struct hidden_list dead;
	uint64_t gone = 0;
	struct wblock b;
	MDB_cursor *c;
	uint8_t k[12];
	MDB_val key = { sizeof(k), k }, val;
	int rc = hidden_load(&dead, &v->tx, DB_WORDS_HIDDEN, gen);

	*found = false;
	if (rc)
		return rc;
	for (size_t i = 0; i < dead.n; i++)
		gone += dead.item[i].h.staged ? 0 : dead.item[i].h.rows;
	/* once begun it goes on to the end, as what is rewritten counts no more */
	if (!gone || (!from && 4 * gone <= v->tx.st.chunks)) {
		mem_free(dead.item);
		return RAG_OK;
	}
	rc = tx_cursor(&c, &v->tx, DB_WORDS);
	key_gen64(k, gen, from);
	for (bool first = true; !rc && !*found; first = false) {
		uint32_t n = 0;

		rc = tx_seek(&key, &val, &v->tx, c, first ? MDB_SET_RANGE : MDB_NEXT);
		if (!rc && (key.mv_size != 12 || codec_unkey32(key.mv_data) != gen))
			rc = RAG_ENOENT;
		if (!rc) {
			out->no = codec_unkey64((const uint8_t *)key.mv_data + 4);
			out->merge = false;
			rc = wblock_get(&b, v->tx.s, out->no, &val);
		}
		for (uint32_t i = 0; !rc && i < b.n; i++)
			n += hidden_dead(&dead, wblock_id(&b, i)) != NULL;
		*found = !rc && 2 * n > b.n;
	}
	mdb_cursor_close(c);
	mem_free(dead.item);
	return rc == RAG_ENOENT ? RAG_OK : rc;
}

int store_tidy_words(struct store_writer *w)
{
	struct tidy job = { 0 };
	uint64_t end;
	bool found = true;
	struct store_snap *v;
	int rc = store_snap(&v, w->s);

	if (rc)
		return rc;
	end = v->tx.st.next_block;	/* what is rewritten comes behind it, and is not looked at again */
	store_snap_end(v);
	while (!rc && found) {
		rc = store_snap(&v, w->s);
		if (rc)
			return rc;
		rc = find_dead(&job, &found, v, job.no ? job.no + 1 : 0);
		if (!rc && found && job.no >= end)
			found = false;
		if (!rc && !found)
			rc = find_merge(&job, &found, v);
		store_snap_end(v);
		if (!rc && found)
			rc = store_txn(w->s, tidy_txn, &job);
		if (job.merge)
			job.no = end;
	}
	return rc;
}

/* ---- reading ---------------------------------------------------------------------------- */

struct wblocks {
	store_wblock_fn *fn;
	void *arg;
};

static bool check_wblock(const MDB_val *v)
{
	return wblock_check(v->mv_data, v->mv_size);
}

static int one_wblock(void *arg, struct tx *t, uint64_t no, const MDB_val *val)
{
	const struct wblocks *w = arg;
	struct wblock b;
	int rc = wblock_get(&b, t->s, no, val);

	if (!rc)
		rc = store_first_touch(t->s, "word", no, val, check_wblock);
	return rc ? rc : w->fn(w->arg, &b);
}

int store_wblocks(struct store_snap *v, store_wblock_fn *fn, void *arg)
{
	struct wblocks w = { fn, arg };

	return tx_generation(&v->tx, DB_WORDS, v->tx.st.generation, one_wblock, &w);
}

/* ---- what has no words yet ------------------------------------------------------------------ */

struct step {
	const struct buf *block;
	uint64_t next;		/* chunk to go on with */
};

static int step_txn(struct tx *t, void *arg)
{
	const struct step *job = arg;
	struct words_new in = { job->block, 0 };
	struct words_state ws;
	int rc = words_state_get(&ws, t);

	ws.todo = job->next < ws.todo_end ? job->next : ws.todo_end;
	if (!rc)
		rc = words_state_put(t, &ws);
	return rc || !job->block->len ? rc : words_append(t, t->st.generation, &in, 1);
}

int words_of_chunk(struct words_build *b, struct store_snap *v, const struct store_chunk *c)
{
	struct buf text = BUF_INIT;
	struct words_field f[3];
	struct content co;
	int rc = content_get(&co, &v->tx, c->content);

	if (!rc)
		rc = store_text(&text, v, c->content, c->start, c->end);
	if (!rc) {
		words_title(&f[0].s, &f[0].n, co.context);
		f[1] = (struct words_field){ c->heading, c->heading_len };
		f[2] = (struct words_field){ buf_str(&text), text.len };
		rc = words_build_add(b, c->id, f, 3);
	}
	buf_release(&text);
	return rc;
}

/* Words of visible chunks from `from` on, some 1 MiB of text; *next: the chunk to go on with. */
static int step_build(uint64_t *next, struct words_build *b, struct store_snap *v, uint64_t from, uint64_t end)
{
	struct store_chunk ch;
	MDB_cursor *c;
	uint8_t k[12];
	MDB_val key = { sizeof(k), k }, val;
	size_t bytes = 0, n = 0;
	int rc = tx_cursor(&c, &v->tx, DB_CHUNK);

	key_gen64(k, v->tx.st.generation, from);
	*next = end;
	for (; !rc; n++) {
		uint64_t id;

		rc = tx_seek(&key, &val, &v->tx, c, n ? MDB_NEXT : MDB_SET_RANGE);
		if (rc || key.mv_size != 12 || codec_unkey32(key.mv_data) != v->tx.st.generation)
			break;
		id = codec_unkey64((const uint8_t *)key.mv_data + 4);
		if (id >= end)
			break;
		if (bytes > STEP_BYTES || n > STEP_CHUNKS) {
			*next = id;
			break;
		}
		rc = chunk_decode(&ch, v->tx.s, id, &val);
		if (!rc)
			rc = words_of_chunk(b, v, &ch);
		if (rc == RAG_ENOENT)		/* in limbo */
			rc = RAG_OK;
		else
			bytes += ch.end - ch.start + ch.heading_len;
	}
	mdb_cursor_close(c);
	return rc == RAG_ENOENT ? RAG_OK : rc;
}

static int index_some(bool *more, struct store_writer *w, struct words_build *b)
{
	struct buf block = BUF_INIT;
	struct step job = { &block, 0 };
	struct words_state ws;
	struct store_snap *v;
	int rc = store_snap(&v, w->s);

	if (rc)
		return rc;
	rc = words_state_get(&ws, &v->tx);
	*more = !rc && ws.todo < ws.todo_end;
	if (*more) {
		rc = step_build(&job.next, b, v, ws.todo, ws.todo_end);
		if (!rc)
			rc = words_build_end(&block, b);
	}
	store_snap_end(v);
	if (!rc && *more)
		rc = store_txn(w->s, step_txn, &job);
	buf_release(&block);
	return rc;
}

/* No words that are there stay, if any: all chunks are still to be indexed. */
static int anew_txn(struct tx *t, void *arg)
{
	struct words_state ws = { *(struct store_words *)arg, ANALYZE_VERSION, 1, t->st.next_chunk };
	int rc;

	t->st.format = STORE_FORMAT;	/* programs that know nothing of words write it no more */
	rc = blocks_drop_db(t, DB_WORDS, t->st.generation);

	if (!rc)
		rc = blocks_drop_db(t, DB_WORDS_HIDDEN, t->st.generation);
	return rc ? rc : words_state_put(t, &ws);
}

int words_begin(struct store_writer *w)
{
	struct words_build *b = NULL;
	struct words_state ws;
	struct store_snap *v;
	bool more = true;
	int rc;

	if (w->words)
		return RAG_OK;
	if (!w->s->dbi[DB_WORDS])
		return err_set(RAG_EFULL, "no room in store '%s' for an index of its words", w->s->dir);
	rc = store_snap(&v, w->s);
	if (rc)
		return rc;
	rc = words_state_get(&ws, &v->tx);
	store_snap_end(v);
	if (rc == RAG_ENOENT)		/* a store of before there were words */
		ws.set = (struct store_words)STORE_WORDS_INIT;
	if (rc == RAG_ENOENT || (!rc && ws.version != ANALYZE_VERSION))
		rc = store_txn(w->s, anew_txn, &ws.set);
	if (!rc)
		rc = words_build_new(&b, ws.set.language, ws.set.stop);
	while (!rc && more)
		rc = index_some(&more, w, b);
	if (!rc)
		rc = store_tidy_words(w);
	if (rc)
		words_build_free(b);
	else
		w->words = b;
	return rc;
}

static int set_txn(struct tx *t, void *arg)
{
	const struct store_words *set = arg;
	struct words_state ws;
	int rc = words_state_get(&ws, t);

	if (!rc && (strcmp(ws.set.language, set->language) || ws.set.stop != set->stop))
		return anew_txn(t, arg);
	ws.set = *set;
	return rc ? rc : words_state_put(t, &ws);
}

int store_set_words(struct store_writer *w, const struct store_words *set)
{
	struct store_words job = *set, have;
	struct words_build *probe;
	struct store_snap *v;
	int rc;

	if (!memchr(set->language, 0, sizeof(set->language)))
		return err_set(RAG_EINVAL, "a language of more than %u bytes", STORE_LANGUAGE_MAX);
	if (!(set->k1 >= 0 && set->k1 <= 1000) || !(set->b >= 0 && set->b <= 1))
		return err_set(RAG_EINVAL, "BM25 with k1 %g and b %g: 0 to 1000 and 0 to 1 are possible",
			       (double)set->k1, (double)set->b);
	rc = words_build_new(&probe, set->language, set->stop);
	words_build_free(probe);
	if (!rc)
		rc = words_begin(w);
	if (!rc)
		rc = store_snap(&v, w->s);
	if (rc)
		return rc;
	rc = store_words(&have, v);
	store_snap_end(v);
	if (rc || (!strcmp(have.language, set->language) && have.stop == set->stop && have.k1 == set->k1 &&
		   have.b == set->b))
		return rc;
	for (const struct stage *st = w->stages; st; st = st->next)
		if (!st->published)
			return err_set(RAG_EINVAL, "other words while '%.200s' is being staged", st->uri);
	rc = store_sweep(w);	/* what waits in limbo would come to have hidden words that are none */
	if (rc)
		return rc;
	words_build_free(w->words);
	w->words = NULL;	/* words_begin() goes on where this is cut off */
	rc = store_txn(w->s, set_txn, &job);
	return rc ? rc : words_begin(w);
}
