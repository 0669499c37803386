#include "config.h"
#include "index/store.h"

#include <string.h>
#include <time.h>

#include "index/store_impl.h"

/* ---- records --------------------------------------------------------------------- */

int layout_put(struct tx *t, uint32_t gen, uint64_t content, const struct layout *l)
{
	struct buf b = BUF_INIT;
	uint8_t key[12], val[8];
	int rc = codec_add64(&b, l->first);

	if (!rc)
		rc = codec_add64(&b, l->n);
	if (!rc)
		rc = codec_add64(&b, l->n_vec);
	if (!rc)
		rc = codec_seal(&b, 0);
	key_gen64(key, gen, content);
	if (!rc)
		rc = tx_put(t, DB_LAYOUT, key, sizeof(key), b.data, b.len);
	buf_release(&b);
	if (rc || !l->n)
		return rc;
	key_gen64(key, gen, l->first);
	codec_put64(val, content);
	if (l->n_vec < l->n)
		return tx_put(t, DB_LACK, key, sizeof(key), val, sizeof(val));
	rc = tx_del(t, DB_LACK, key, sizeof(key));
	return rc == RAG_ENOENT ? RAG_OK : rc;
}

int limbo_put(struct tx *t, uint64_t content, const struct limbo *l)
{
	struct buf b = BUF_INIT;
	uint8_t key[8];
	int rc = codec_add32(&b, l->generation);

	if (!rc)
		rc = codec_add64(&b, l->first);
	if (!rc)
		rc = codec_add64(&b, l->n);
	if (!rc)
		rc = codec_seal(&b, 0);
	codec_key64(key, content);
	if (!rc)
		rc = tx_put(t, DB_LIMBO, key, sizeof(key), b.data, b.len);
	buf_release(&b);
	return rc;
}

static int content_put(struct tx *t, uint64_t id, const struct content *c)
{
	struct buf b = BUF_INIT;
	uint8_t key[8];
	int rc = buf_add(&b, c->hash, HASH_LEN);

	if (!rc)
		rc = codec_add64(&b, c->text_len);
	if (!rc)
		rc = codec_add32(&b, c->text_pieces);
	if (!rc)
		rc = codec_add32(&b, c->mark_pieces);
	if (!rc)
		rc = codec_addstr(&b, c->type, c->type_len);
	if (!rc)
		rc = codec_addstr(&b, c->context, c->context_len);
	if (!rc)
		rc = codec_seal(&b, 0);
	codec_key64(key, id);
	if (!rc)
		rc = tx_put(t, DB_CONTENT, key, sizeof(key), b.data, b.len);
	buf_release(&b);
	return rc;
}

static int doc_put(struct tx *t, const struct store_doc *d)
{
	struct buf b = BUF_INIT;
	uint8_t key[8];
	int rc = codec_add64(&b, d->content);

	if (!rc)
		rc = buf_add(&b, d->source_hash, HASH_LEN);
	if (!rc)
		rc = codec_add64(&b, d->source_size);
	if (!rc)
		rc = codec_add64(&b, (uint64_t)d->source_mtime);
	if (!rc)
		rc = codec_add64(&b, (uint64_t)d->added);
	if (!rc)
		rc = codec_add64(&b, (uint64_t)d->modified);
	if (!rc)
		rc = codec_addstr(&b, d->uri, strlen(d->uri));
	if (!rc)
		rc = codec_addstr(&b, d->title, strlen(d->title));
	if (!rc)
		rc = codec_addstr(&b, d->type, strlen(d->type));
	if (!rc)
		rc = codec_addstr(&b, d->labels, strlen(d->labels));
	if (!rc && *d->about)
		rc = codec_addstr(&b, d->about, strlen(d->about));
	if (!rc)
		rc = codec_seal(&b, 0);
	codec_key64(key, d->id);
	if (!rc)
		rc = tx_put(t, DB_DOC, key, sizeof(key), b.data, b.len);
	buf_release(&b);
	return rc;
}

/* Overwrites n bytes of a document's record. */
int doc_patch(struct tx *t, uint64_t id, size_t at, const void *p, size_t n)
{
	struct store_doc d;
	uint8_t key[8], *copy;
	MDB_val v;
	int rc;

	codec_key64(key, id);
	rc = tx_get(&v, t, DB_DOC, key, sizeof(key));
	if (rc == RAG_ENOENT)
		return err_set(RAG_ENOENT, "no document %llu", (unsigned long long)id);
	if (!rc)
		rc = doc_decode(&d, t->s, id, &v);
	if (rc)
		return rc;
	copy = mem_dup(v.mv_data, v.mv_size);
	if (!copy)
		return RAG_ENOMEM;
	memcpy(copy + at, p, n);
	codec_put32(copy + v.mv_size - 4, codec_crc(0, copy, v.mv_size - 4));
	rc = tx_put(t, DB_DOC, key, sizeof(key), copy, v.mv_size);
	mem_free(copy);
	return rc;
}

static int owner_put(struct tx *t, uint64_t content, uint64_t doc)
{
	uint8_t key[16];

	key_64_64(key, content, doc);
	return tx_put(t, DB_OWNER, key, sizeof(key), "", 0);
}

int owner_del(struct tx *t, uint64_t content, uint64_t doc)
{
	uint8_t key[16];
	int rc;

	key_64_64(key, content, doc);
	rc = tx_del(t, DB_OWNER, key, sizeof(key));
	return rc == RAG_ENOENT ? store_corrupt(t->s, "document %llu does not own its content",
						(unsigned long long)doc) : rc;
}

/* The first document of a content; RAG_ENOENT without a message. */
int owner_first(uint64_t *doc, struct tx *t, uint64_t content)
{
	MDB_cursor *c;
	uint8_t from[16];
	MDB_val key = { sizeof(from), from }, val;
	int rc = tx_cursor(&c, t, DB_OWNER);

	if (rc)
		return rc;
	key_64_64(from, content, 0);
	rc = tx_seek(&key, &val, t, c, MDB_SET_RANGE);
	if (!rc && (key.mv_size != 16 || codec_unkey64(key.mv_data) != content))
		rc = RAG_ENOENT;
	if (!rc)
		*doc = codec_unkey64((const uint8_t *)key.mv_data + 8);
	mdb_cursor_close(c);
	return rc;
}

/* Out of everybody's sight; what it consists of goes with the sweep. */
int content_retire(struct tx *t, uint64_t id)
{
	uint32_t gen = t->st.generation;
	struct content c;
	struct layout l;
	uint8_t key[12];
	MDB_val v;
	int rc = content_get(&c, t, id);

	if (!rc)
		rc = layout_get(&l, t, gen, id);
	if (rc == RAG_ENOENT)
		return store_corrupt(t->s, "content %llu is missing", (unsigned long long)id);
	if (!rc)
		rc = tx_get(&v, t, DB_HASH, c.hash, HASH_LEN);
	if (!rc && v.mv_size == 8 && codec_get64(v.mv_data) == id)
		rc = tx_del(t, DB_HASH, c.hash, HASH_LEN);	/* else a newer one has the name */
	codec_key64(key, id);
	if (!rc)
		rc = tx_del(t, DB_CONTENT, key, 8);
	key_gen64(key, gen, id);
	if (!rc)
		rc = tx_del(t, DB_LAYOUT, key, 12);
	if (!rc && l.n_vec < l.n) {
		key_gen64(key, gen, l.first);
		rc = tx_del(t, DB_LACK, key, 12);
	}
	if (rc == RAG_ENOENT)
		return store_corrupt(t->s, "content %llu is incomplete", (unsigned long long)id);
	if (!rc)
		rc = limbo_put(t, id, &(struct limbo){ gen, l.first, l.n });
	if (!rc && l.n_vec)
		rc = hidden_put(t, DB_HIDDEN, gen, l.first, &(struct hidden){ l.n, l.n_vec, 0 });
	if (!rc && l.n)
		rc = hidden_put(t, DB_WORDS_HIDDEN, gen, l.first, &(struct hidden){ l.n, l.n, 0 });
	t->st.contents--;
	t->st.chunks -= l.n;
	t->st.vectors -= l.n_vec;
	t->st.text_bytes -= c.text_len;
	return rc;
}

int content_full(bool *full, struct tx *t, uint32_t gen, const struct layout *l)
{
	const void *p;
	size_t n;
	int rc;

	*full = l->n_vec == l->n;
	if (!*full || !l->n)
		return RAG_OK;
	rc = space_get(&p, &n, t, gen);
	if (!rc) {
		rc = tokens_get(&p, &n, t, gen, l->first);	/* the first speaks for all */
		*full = !rc;
	}
	return rc == RAG_ENOENT ? RAG_OK : rc;
}

/* ---- publish ------------------------------------------------------------------------- */

struct publish {
	struct stage *const *stages;
	struct stage_result *results;
	size_t n;
	struct vec_rows rows;
	struct words_new *words;	/* (n) owned; of new contents */
	size_t n_words;
	int64_t now;
};

/* All documents of `from` share `to` instead, which says the same and has vectors. */
static int content_move(struct tx *t, uint64_t from, uint64_t to)
{
	uint8_t val[8];
	uint64_t doc;
	int rc;

	codec_put64(val, to);
	while (!(rc = owner_first(&doc, t, from))) {
		rc = doc_patch(t, doc, 0, val, sizeof(val));
		if (!rc)
			rc = owner_del(t, from, doc);
		if (!rc)
			rc = owner_put(t, to, doc);
		if (rc)
			return rc;
	}
	return rc == RAG_ENOENT ? content_retire(t, from) : rc;
}

static int content_new(uint64_t *id, struct tx *t, const struct stage *st, struct publish *job)
{
	struct layout l = { st->first_chunk, st->n_chunks, st->n_vec };
	struct content c = { .text_len = st->text_len, .type = st->type, .context = st->context,
			     .type_len = strlen(st->type), .context_len = strlen(st->context) };
	struct written w = { 0 };
	uint64_t n;
	uint8_t key[8], val[8];
	int rc = RAG_OK;

	*id = st->content;
	if (st->content) {	/* spilled: out of limbo */
		codec_key64(key, *id);
		rc = tx_del(t, DB_LIMBO, key, sizeof(key));
		if (!rc && l.n_vec)
			rc = hidden_put(t, DB_HIDDEN, st->generation, l.first, &(struct hidden){ 0 });
		if (!rc && l.n)
			rc = hidden_put(t, DB_WORDS_HIDDEN, st->generation, l.first, &(struct hidden){ 0 });
		if (rc == RAG_ENOENT)
			return store_corrupt(t->s, "staged content %llu is missing", (unsigned long long)*id);
	} else {
		*id = t->st.next_content++;
		l.first = l.n ? t->st.next_chunk : 0;
		t->st.next_chunk += l.n;
		rc = stage_write(&w, t, st, *id, l.first, SIZE_MAX);
		for (uint64_t i = 0; !rc && i < l.n_vec; i++)
			rc = rows_add(&job->rows, l.first + i,
				      (const uint8_t *)st->vec.data + i * 2 * (size_t)st->dim);
		if (!rc)
			rc = stage_write_tokens(&n, t, st, l.first);
	}
	if (!st->content && l.n)
		job->words[job->n_words++] = (struct words_new){ &st->words, l.first };
	memcpy(c.hash, st->hash, HASH_LEN);
	c.text_pieces = st->text_pieces + w.text_pieces;
	c.mark_pieces = st->mark_pieces + w.mark_pieces;
	if (!rc)
		rc = content_put(t, *id, &c);
	codec_put64(val, *id);
	if (!rc)
		rc = tx_put(t, DB_HASH, st->hash, HASH_LEN, val, sizeof(val));
	if (!rc)
		rc = layout_put(t, st->generation, *id, &l);
	t->st.contents++;
	t->st.chunks += l.n;
	t->st.vectors += l.n_vec;
	t->st.text_bytes += st->text_len;
	return rc;
}

/* The content of that name, or a new one. */
static int content_for(uint64_t *id, struct tx *t, const struct stage *st, struct publish *job)
{
	uint64_t have;
	struct layout l;
	bool full;
	MDB_val v;
	int rc = tx_get(&v, t, DB_HASH, st->hash, HASH_LEN);

	if (rc == RAG_ENOENT)
		return content_new(id, t, st, job);
	if (rc)
		return rc;
	if (v.mv_size != 8)
		return store_corrupt(t->s, "a content's entry has %zu bytes", v.mv_size);
	have = codec_get64(v.mv_data);
	rc = layout_get(&l, t, st->generation, have);
	if (rc == RAG_ENOENT)
		return store_corrupt(t->s, "content %llu is missing", (unsigned long long)have);
	if (rc)
		return rc;
	*id = have;
	rc = content_full(&full, t, st->generation, &l);
	if (rc || full || st->n_vec < l.n || (l.n_vec == l.n && st->n_tokens < l.n))
		return rc;
	rc = content_new(id, t, st, job);
	return rc ? rc : content_move(t, have, *id);
}

static int publish_one(struct tx *t, struct stage *st, struct stage_result *r, struct publish *job)
{
	struct store_doc d = { 0 };
	uint64_t old = 0, content, other;
	bool same = false;
	uint8_t key[HASH_LEN], val[8];
	MDB_val v;
	int rc = uri_doc(&d.id, t, st->uri, strlen(st->uri));

	if (rc && rc != RAG_ENOENT)
		return rc;
	if (!rc) {
		codec_key64(key, d.id);
		rc = tx_get(&v, t, DB_DOC, key, 8);
		if (rc == RAG_ENOENT)
			return store_corrupt(t->s, "URI '%.200s' names a document that is none", st->uri);
		if (!rc)
			rc = doc_decode(&d, t->s, d.id, &v);
		if (rc)
			return rc;
		if (strcmp(d.uri, st->uri))
			return store_corrupt(t->s, "document %llu has another URI than its entry",
					     (unsigned long long)d.id);
		old = d.content;
		same = !strcmp(d.title, st->title) && !strcmp(d.type, st->type) &&
		       !strcmp(d.labels, st->labels) && !strcmp(d.about, st->about);
	} else {
		d.id = t->st.next_doc++;
		d.added = job->now;
		t->st.documents++;
	}
	rc = content_for(&content, t, st, job);
	if (rc)
		return rc;
	/* content_for() may have moved this document's content, too */
	if (old && content != old) {
		codec_key64(key, old);
		rc = tx_get(&v, t, DB_CONTENT, key, 8);
		if (!rc) {
			rc = owner_del(t, old, d.id);
			if (!rc)
				rc = owner_first(&other, t, old);
			if (rc == RAG_ENOENT)
				rc = content_retire(t, old);
		} else if (rc == RAG_ENOENT) {
			rc = RAG_OK;
		}
	}
	r->outcome = !old ? STAGE_ADDED : same && content == old ? STAGE_UNCHANGED : STAGE_REPLACED;
	r->doc = d.id;
	r->n_chunks = st->n_chunks;
	r->text_len = st->text_len;
	d.content = content;
	memcpy(d.source_hash, st->source_hash, HASH_LEN);
	d.source_size = st->source_size;
	d.source_mtime = st->source_mtime;
	d.uri = st->uri;
	d.title = st->title;
	d.type = st->type;
	d.labels = st->labels;
	d.about = st->about;
	if (r->outcome != STAGE_UNCHANGED)
		d.modified = job->now;
	if (!rc)
		rc = doc_put(t, &d);
	if (!rc && content != old)
		rc = owner_put(t, content, d.id);
	if (!rc && !old) {
		hash_bytes(key, st->uri, strlen(st->uri));
		codec_put64(val, d.id);
		rc = tx_put(t, DB_URI, key, sizeof(key), val, sizeof(val));
	}
	return rc;
}

static int publish_txn(struct tx *t, void *arg)
{
	struct publish *job = arg;
	struct store_generation g;
	int rc = gen_get(&g, t, t->st.generation);

	rows_release(&job->rows);
	job->n_words = 0;
	for (size_t i = 0; !rc && i < job->n; i++)
		rc = publish_one(t, job->stages[i], &job->results[i], job);
	if (!rc)
		rc = block_append(t, t->st.generation, g.dim, &job->rows);
	return rc ? rc : words_append(t, t->st.generation, job->words, job->n_words);
}

int store_publish(struct stage_result *results, struct store_writer *w, struct stage *const *stages, size_t n)
{
	struct publish job = { .stages = stages, .results = results, .n = n, .now = (int64_t)time(NULL) };
	size_t memory = 0;
	int rc = words_begin(w);

	for (size_t i = 0; !rc && i < n; i++) {
		struct stage *st = stages[i];

		if (st->w != w || st->published || st->broken)
			return err_set(RAG_EINVAL, "'%.200s' is not ready to be published", st->uri);
		rc = stage_close(st);
		if (!rc && st->n_vec && st->n_vec != st->n_chunks)
			return err_set(RAG_EINVAL, "'%.200s' has %llu vectors for %llu chunks", st->uri,
				       (unsigned long long)st->n_vec, (unsigned long long)st->n_chunks);
		if (!rc && st->n_tokens && st->n_tokens != st->n_chunks)
			return err_set(RAG_EINVAL, "'%.200s' has token vectors for %llu of %llu chunks", st->uri,
				       (unsigned long long)st->n_tokens, (unsigned long long)st->n_chunks);
		memory += stage_memory(st);
		if (!rc && (st->content || memory > PUBLISH_MEMORY)) {
			memory -= stage_memory(st);
			rc = stage_spill(st);
		} else if (!rc) {
			rc = stage_words(st, SIZE_MAX);
		}
	}
	job.words = mem_alloc((n + 1) * sizeof(*job.words));
	if (!rc && !job.words)
		rc = RAG_ENOMEM;
	if (!rc)
		rc = store_txn(w->s, publish_txn, &job);
	rows_release(&job.rows);
	mem_free(job.words);
	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++) {
		stages[i]->published = true;
		buf_release(&stages[i]->text);
		buf_release(&stages[i]->marks);
		buf_release(&stages[i]->chunks);
		buf_release(&stages[i]->vec);
		buf_release(&stages[i]->tokens);
		buf_release(&stages[i]->words);
	}
	/* It is done and durable; what these leave undone the next writer does. */
	if (!store_sweep(w) && !store_compact_blocks(w))
		store_tidy_words(w);
	return RAG_OK;
}
