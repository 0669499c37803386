/* Token vectors and what they are projected with, as bytes behind a checksum: index/late.c reads them. */
#include "config.h"
#include "index/store.h"

#include <string.h>

#include "index/store_impl.h"

static int open_bytes(const void **out, size_t *n, const struct store *s, const char *what, uint64_t id,
		      const MDB_val *v)
{
	const uint8_t *p = v->mv_data;

	if (v->mv_size <= 4 || codec_get32(p) != codec_crc(0, p + 4, v->mv_size - 4))
		return store_corrupt(s, "%s %llu: wrong checksum", what, (unsigned long long)id);
	*out = p + 4;
	*n = v->mv_size - 4;
	return RAG_OK;
}

static int put_bytes(struct tx *t, enum store_db db, const void *key, size_t klen, const void *p, size_t n)
{
	void *val;
	int rc = tx_reserve(&val, t, db, key, klen, n + 4);

	if (rc)
		return rc;
	codec_put32(val, codec_crc(0, p, n));
	memcpy((uint8_t *)val + 4, p, n);
	return RAG_OK;
}

/* ---- a generation's space ------------------------------------------------------- */

int space_get(const void **out, size_t *n, struct tx *t, uint32_t gen)
{
	uint8_t key[4];
	MDB_val v;
	int rc;

	codec_key32(key, gen);
	rc = tx_get(&v, t, DB_SPACE, key, sizeof(key));
	return rc ? rc : open_bytes(out, n, t->s, "the token space of generation", gen, &v);
}

int store_space(const void **out, size_t *n, struct store_snap *v)
{
	return space_get(out, n, &v->tx, v->tx.st.generation);
}

struct space {
	const void *p;
	size_t n;
};

static int space_txn(struct tx *t, void *arg)
{
	const struct space *job = arg;
	uint32_t gen = t->st.generation;
	struct store_generation g;
	const void *old;
	uint8_t key[4];
	size_t n;
	int rc = gen_get(&g, t, gen);

	if (!rc && !g.dim)
		return err_set(RAG_EINVAL, "token vectors for a store without an embedder");
	if (!rc)
		rc = space_get(&old, &n, t, gen);
	if (!rc)
		return err_set(RAG_EINVAL, "token vectors of store '%s' have their space already", t->s->dir);
	codec_key32(key, gen);
	return rc == RAG_ENOENT ? put_bytes(t, DB_SPACE, key, sizeof(key), job->p, job->n) : rc;
}

int store_set_space(struct store_writer *w, const void *p, size_t n)
{
	struct space job = { p, n };

	if (!n || n > STORE_SPACE_MAX)
		return err_set(RAG_EINVAL, "a token space of %zu bytes", n);
	return store_txn(w->s, space_txn, &job);
}

/* ---- a chunk's tokens -------------------------------------------------------------- */

int tokens_put(struct tx *t, uint32_t gen, uint64_t chunk, const void *p, size_t n)
{
	uint8_t key[12];

	key_gen64(key, gen, chunk);
	return put_bytes(t, DB_TOKENS, key, sizeof(key), p, n);
}

int tokens_open(const void **out, size_t *n, const struct store *s, uint64_t chunk, const MDB_val *v)
{
	return open_bytes(out, n, s, "the token vectors of chunk", chunk, v);
}

int tokens_get(const void **out, size_t *n, struct tx *t, uint32_t gen, uint64_t chunk)
{
	uint8_t key[12];
	MDB_val v;
	int rc;

	key_gen64(key, gen, chunk);
	rc = tx_get(&v, t, DB_TOKENS, key, sizeof(key));
	return rc ? rc : tokens_open(out, n, t->s, chunk, &v);
}

int store_tokens(const void **out, size_t *n, struct store_snap *v, uint64_t chunk)
{
	return tokens_get(out, n, &v->tx, v->tx.st.generation, chunk);
}

int tokens_drop(struct tx *t, uint32_t gen)
{
	uint8_t key[4];
	int rc = blocks_drop_db(t, DB_TOKENS, gen);

	codec_key32(key, gen);
	if (!rc)
		rc = tx_del(t, DB_SPACE, key, sizeof(key));
	return rc == RAG_ENOENT ? RAG_OK : rc;
}

/* ---- staged: a length before each ------------------------------------------------- */

int tokens_check(struct store *s, const struct store_bytes *t, size_t n)
{
	struct store_snap *v = NULL;
	const void *p;
	size_t len;
	int rc = store_snap(&v, s);

	if (!rc)
		rc = store_space(&p, &len, v);
	store_snap_end(v);
	if (rc)
		return rc == RAG_ENOENT ? err_set(RAG_EINVAL, "token vectors for a store without their space") : rc;
	for (size_t i = 0; i < n; i++)
		if (!t[i].n || t[i].n > STORE_TOKENS_MAX)
			return err_set(RAG_EINVAL, "token vectors of %zu bytes", t[i].n);
	return RAG_OK;
}

int stage_tokens(struct stage *st, const struct store_bytes *tokens, size_t n)
{
	int rc = stage_close(st);

	if (!rc && n > st->n_vec - st->n_tokens)
		rc = err_set(RAG_EINVAL, "token vectors of %zu chunks for the %llu with vectors", n,
			     (unsigned long long)(st->n_vec - st->n_tokens));
	if (!rc)
		rc = tokens_check(st->w->s, tokens, n);
	for (size_t i = 0; !rc && i < n; i++) {
		rc = codec_add32(&st->tokens, (uint32_t)tokens[i].n);
		if (!rc)
			rc = buf_add(&st->tokens, tokens[i].p, tokens[i].n);
		st->n_tokens++;
		rc = stage_leave(st, rc);
	}
	if (rc)
		st->broken = true;
	return rc;
}

int stage_write_tokens(uint64_t *n, struct tx *t, const struct stage *st, uint64_t first)
{
	int rc = RAG_OK;

	*n = 0;
	for (size_t i = 0; !rc && i < st->tokens.len; ++*n) {
		size_t len = codec_get32((const uint8_t *)st->tokens.data + i);

		rc = tokens_put(t, st->generation, first + st->tokens_done + *n, st->tokens.data + i + 4, len);
		i += 4 + len;
	}
	return rc;
}
