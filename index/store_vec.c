#include "config.h"
#include "index/store.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/kern.h"
#include "index/store_impl.h"

#define BLOCK_BYTES ((size_t)1 << 20)	/* large enough to scan, small enough to rewrite */
#define BLOCK_ROWS_MIN 8u
#define COMPACT_BLOCKS 8		/* rewritten in one transaction */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rows are used in place");

static const char block_magic[4] = { 'R', 'V', 'B', '1' };

uint32_t block_rows(uint32_t dim)
{
	size_t n = (BLOCK_BYTES - BLOCK_HEAD - 16) / (8 + 2 * (size_t)dim);

	return n < BLOCK_ROWS_MIN ? BLOCK_ROWS_MIN : (uint32_t)n;
}

int vec_encode(uint16_t *out, const float *v, size_t n, size_t dim)
{
	const struct kern *k = kern_get();
	float *unit = mem_alloc(dim * sizeof(*unit));

	if (!unit)
		return RAG_ENOMEM;
	for (size_t i = 0; i < n; i++, v += dim, out += dim) {
		double sum = 0;

		for (size_t j = 0; j < dim; j++)
			sum += (double)v[j] * v[j];
		if (!(sum > 0) || !isfinite(sum)) {
			mem_free(unit);
			return err_set(RAG_EINVAL, "vector %zu of %zu is %s", i + 1, n,
				       sum == 0 ? "all zeros" : "not finite");
		}
		sum = 1 / sqrt(sum);
		for (size_t j = 0; j < dim; j++)
			unit[j] = (float)(v[j] * sum);
		k->f32_to_f16(out, unit, dim);
	}
	mem_free(unit);
	return RAG_OK;
}

/* ---- rows ---------------------------------------------------------------- */

int rows_add(struct vec_rows *r, uint64_t id, const uint8_t *row)
{
	if (r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 64;
		struct vec_row *p = mem_realloc(r->row, cap, sizeof(*p));

		if (!p)
			return RAG_ENOMEM;
		r->row = p;
		r->cap = cap;
	}
	r->row[r->n++] = (struct vec_row){ id, row };
	return RAG_OK;
}

void rows_release(struct vec_rows *r)
{
	while (r->n_copies)
		mem_free(r->copy[--r->n_copies]);
	mem_free(r->row);
	memset(r, 0, sizeof(*r));
}

static int by_id(const void *a, const void *b)
{
	const struct vec_row *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

/* ---- blocks ---------------------------------------------------------------------- */

int block_decode(struct store_block *out, const struct store *s, uint64_t no, const MDB_val *v)
{
	const uint8_t *p = v->mv_data;

	if (v->mv_size < BLOCK_HEAD || memcmp(p, block_magic, sizeof(block_magic)))
		return store_corrupt(s, "vector block %llu has no header", (unsigned long long)no);
	out->n = codec_get32(p + 4);
	out->dim = codec_get32(p + 8);
	if (!out->n || !out->dim || out->dim > STORE_DIM_MAX ||
	    v->mv_size != BLOCK_HEAD + (uint64_t)out->n * (8 + 2 * (uint64_t)out->dim))
		return store_corrupt(s, "vector block %llu has %zu bytes for %u rows of %u",
				     (unsigned long long)no, v->mv_size, out->n, out->dim);
	out->ids = p + BLOCK_HEAD;
	out->rows = out->ids + 8 * (size_t)out->n;
	return RAG_OK;
}

static uint32_t block_crc(const uint8_t *p, size_t n)
{
	return codec_crc(codec_crc(0, p, 12), p + BLOCK_HEAD, n - BLOCK_HEAD);
}

bool block_check(const MDB_val *v)
{
	const uint8_t *p = v->mv_data;

	return codec_get32(p + 12) == block_crc(p, v->mv_size);
}

static int block_write(struct tx *t, uint32_t gen, uint32_t dim, const struct vec_row *row, size_t n)
{
	size_t len = BLOCK_HEAD + n * (8 + 2 * (size_t)dim);
	uint8_t key[12], *p, *rows;
	void *val;
	int rc;

	key_gen64(key, gen, t->st.next_block++);
	rc = tx_reserve(&val, t, DB_BLOCK, key, sizeof(key), len);
	if (rc)
		return rc;
	p = val;
	memcpy(p, block_magic, sizeof(block_magic));
	codec_put32(p + 4, (uint32_t)n);
	codec_put32(p + 8, dim);
	rows = p + BLOCK_HEAD + 8 * n;
	for (size_t i = 0; i < n; i++) {
		codec_put64(p + BLOCK_HEAD + 8 * i, row[i].id);
		memcpy(rows + i * 2 * dim, row[i].row, 2 * (size_t)dim);
	}
	codec_put32(p + 12, block_crc(p, len));
	return RAG_OK;
}

/* Its rows that are not dead go to r, out of a copy; then it is deleted. */
static int block_take(struct tx *t, struct vec_rows *r, struct hidden_list *dead, const MDB_val *key,
		      const MDB_val *val)
{
	struct store_block b;
	MDB_val copy = { val->mv_size, NULL };
	uint8_t k[12];
	int rc;

	memcpy(k, key->mv_data, sizeof(k));
	if (r->n_copies == sizeof(r->copy) / sizeof(r->copy[0]))
		return err_set(RAG_ELIMIT, "too many vector blocks to merge");
	copy.mv_data = mem_dup(val->mv_data, val->mv_size);
	if (!copy.mv_data)
		return RAG_ENOMEM;
	r->copy[r->n_copies++] = copy.mv_data;
	rc = block_decode(&b, t->s, codec_unkey64(k + 4), &copy);
	if (!rc && !block_check(&copy))
		rc = store_corrupt(t->s, "vector block %llu fails its checksum",
				   (unsigned long long)codec_unkey64(k + 4));
	for (uint32_t i = 0; !rc && i < b.n; i++) {
		uint64_t id = codec_get64(b.ids + 8 * (size_t)i);
		struct hidden_item *gone = hidden_dead(dead, id);

		if (!gone) {
			rc = rows_add(r, id, b.rows + (size_t)i * 2 * b.dim);
		} else if (!gone->h.rows) {
			rc = store_corrupt(t->s, "more dead vectors than known of");
		} else {
			gone->h.rows--;
			gone->changed = true;
		}
	}
	return rc ? rc : tx_del(t, DB_BLOCK, k, sizeof(k));
}

int block_last(MDB_val *key, MDB_val *val, struct tx *t, MDB_cursor *c, uint32_t gen)
{
	uint8_t beyond[12];
	int rc;

	key_gen64(beyond, gen + 1, 0);
	key->mv_data = beyond;
	key->mv_size = sizeof(beyond);
	rc = tx_seek(key, val, t, c, MDB_SET_RANGE);
	if (rc && rc != RAG_ENOENT)
		return rc;
	rc = tx_seek(key, val, t, c, rc ? MDB_LAST : MDB_PREV);
	if (!rc && (key->mv_size != 12 || codec_unkey32(key->mv_data) != gen))
		rc = RAG_ENOENT;
	return rc;
}

/*
 * Like counting in binary: a new run of rows swallows the last block while that
 * is no longer than itself, so each row is copied at most log2 times, and n
 * rows lie in at most log2(n) blocks that are less than half full.
 */
int block_append(struct tx *t, uint32_t gen, uint32_t dim, struct vec_rows *r)
{
	size_t full = block_rows(dim);
	struct hidden_list dead;
	struct store_block b;
	MDB_cursor *c;
	MDB_val key, val;
	bool merged = false;
	int rc;

	if (!r->n)
		return RAG_OK;
	rc = hidden_load(&dead, t, DB_HIDDEN, gen);
	if (rc)
		return rc;
	rc = tx_cursor(&c, t, DB_BLOCK);
	if (rc) {
		mem_free(dead.item);
		return rc;
	}
	for (;;) {
		rc = block_last(&key, &val, t, c, gen);
		if (rc)
			break;
		rc = block_decode(&b, t->s, codec_unkey64((const uint8_t *)key.mv_data + 4), &val);
		if (rc || b.dim != dim || b.n > r->n || b.n + r->n > full)
			break;
		rc = block_take(t, r, &dead, &key, &val);
		if (rc)
			break;
		merged = true;
	}
	mdb_cursor_close(c);
	if (rc == RAG_ENOENT)
		rc = RAG_OK;
	if (merged && !rc)
		qsort(r->row, r->n, sizeof(*r->row), by_id);
	for (size_t i = 0; !rc && i < r->n; i += full)
		rc = block_write(t, gen, dim, r->row + i, r->n - i < full ? r->n - i : full);
	if (!rc)
		rc = hidden_save(t, DB_HIDDEN, gen, &dead);
	mem_free(dead.item);
	return rc;
}

int blocks_drop_db(struct tx *t, enum store_db db, uint32_t gen)
{
	MDB_cursor *c;
	uint8_t k[12];
	MDB_val key, val;
	int rc = tx_cursor(&c, t, db);

	if (rc)
		return rc;
	for (;;) {
		key_gen64(k, gen, 0);
		key = (MDB_val){ sizeof(k), k };
		rc = tx_seek(&key, &val, t, c, MDB_SET_RANGE);
		if (rc || key.mv_size != 12 || codec_unkey32(key.mv_data) != gen)
			break;
		memcpy(k, key.mv_data, sizeof(k));
		rc = tx_del(t, db, k, sizeof(k));
		if (rc)
			break;
	}
	mdb_cursor_close(c);
	return rc == RAG_ENOENT ? RAG_OK : rc;
}

int blocks_drop(struct tx *t, uint32_t gen)
{
	int rc = blocks_drop_db(t, DB_BLOCK, gen);

	return rc ? rc : blocks_drop_db(t, DB_HIDDEN, gen);
}

/* ---- compaction ------------------------------------------------------------------ */

struct compact {
	uint64_t from, stop;	/* blocks from <= number < stop are looked at */
	uint64_t next;		/* where to go on; stop: done */
	uint32_t dim;
};

static uint64_t dead_rows(struct hidden_list *dead, const struct store_block *b)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < b->n; i++)
		n += hidden_dead(dead, codec_get64(b->ids + 8 * (size_t)i)) != NULL;
	return n;
}

static int compact_txn(struct tx *t, void *arg)
{
	struct compact *job = arg;
	uint32_t gen = t->st.generation;
	struct vec_rows rows = { 0 };
	struct hidden_list dead;
	struct store_block b = { 0 };
	MDB_cursor *c;
	uint8_t from[12];
	MDB_val key, val;
	int taken = 0, rc = hidden_load(&dead, t, DB_HIDDEN, gen);

	if (rc)
		return rc;
	rc = tx_cursor(&c, t, DB_BLOCK);
	if (rc) {
		mem_free(dead.item);
		return rc;
	}
	job->next = job->from;
	while (!rc && taken < COMPACT_BLOCKS) {
		uint64_t no;

		key_gen64(from, gen, job->next);
		key = (MDB_val){ sizeof(from), from };
		rc = tx_seek(&key, &val, t, c, MDB_SET_RANGE);
		if (rc == RAG_ENOENT || (!rc && (key.mv_size != 12 || codec_unkey32(key.mv_data) != gen ||
		    codec_unkey64((const uint8_t *)key.mv_data + 4) >= job->stop))) {
			job->next = job->stop;
			rc = RAG_OK;
			break;
		}
		if (rc)
			break;
		no = codec_unkey64((const uint8_t *)key.mv_data + 4);
		job->next = no + 1;
		rc = block_decode(&b, t->s, no, &val);
		if (!rc && 2 * dead_rows(&dead, &b) > b.n) {
			job->dim = b.dim;
			rc = block_take(t, &rows, &dead, &key, &val);
			taken++;
		}
	}
	mdb_cursor_close(c);
	if (!rc)
		rc = hidden_save(t, DB_HIDDEN, gen, &dead);
	if (!rc && rows.n) {
		qsort(rows.row, rows.n, sizeof(*rows.row), by_id);
		rc = block_append(t, gen, job->dim, &rows);
	}
	rows_release(&rows);
	mem_free(dead.item);
	return rc;
}

int store_compact_blocks(struct store_writer *w)
{
	struct compact job = { 0 };
	struct hidden_list dead;
	struct store_snap *v;
	uint64_t gone = 0, all;
	int rc = store_snap(&v, w->s);

	if (rc)
		return rc;
	all = v->tx.st.vectors;
	job.stop = v->tx.st.next_block;
	rc = hidden_load(&dead, &v->tx, DB_HIDDEN, v->tx.st.generation);
	store_snap_end(v);
	if (rc)
		return rc;
	for (size_t i = 0; i < dead.n; i++)
		gone += dead.item[i].h.staged ? 0 : dead.item[i].h.rows;
	mem_free(dead.item);
	if (4 * gone <= all)	/* not worth reading through the blocks */
		return RAG_OK;
	while (!rc && job.from < job.stop) {
		rc = store_txn(w->s, compact_txn, &job);
		job.from = job.next;
	}
	return rc;
}

/* ---- reading ---------------------------------------------------------------------- */

static bool seen(struct store *s, uint64_t no)
{
	bool yes;

	pthread_mutex_lock(&s->seen_lock);
	yes = no < s->seen_blocks && (s->seen[no / 8] >> no % 8 & 1);
	pthread_mutex_unlock(&s->seen_lock);
	return yes;
}

static int remember(struct store *s, uint64_t no)
{
	int rc = RAG_OK;

	pthread_mutex_lock(&s->seen_lock);
	if (no >= s->seen_blocks) {
		uint64_t bits = (no + 1 + 1023) / 1024 * 1024 * 2;
		uint8_t *p = mem_realloc(s->seen, bits / 8, 1);

		if (p) {
			memset(p + s->seen_blocks / 8, 0, (bits - s->seen_blocks) / 8);
			s->seen = p;
			s->seen_blocks = bits;
		} else {
			rc = RAG_ENOMEM;
		}
	}
	if (!rc)
		s->seen[no / 8] |= (uint8_t)(1u << no % 8);
	pthread_mutex_unlock(&s->seen_lock);
	return rc;
}

int store_first_touch(struct store *s, const char *kind, uint64_t no, const MDB_val *val,
		      bool (*check)(const MDB_val *val))
{
	if (seen(s, no))
		return RAG_OK;
	if (!check(val))
		return store_corrupt(s, "%s block %llu fails its checksum", kind, (unsigned long long)no);
	return remember(s, no);
}

struct blocks {
	uint32_t dim;
	store_block_fn *fn;
	void *arg;
};

static int one_block(void *arg, struct tx *t, uint64_t no, const MDB_val *val)
{
	const struct blocks *w = arg;
	struct store_block b;
	int rc = block_decode(&b, t->s, no, val);

	if (!rc && b.dim != w->dim)
		rc = store_corrupt(t->s, "vector block %llu has %u dimensions, not %u",
				   (unsigned long long)no, b.dim, w->dim);
	if (!rc)
		rc = store_first_touch(t->s, "vector", no, val, block_check);
	return rc ? rc : w->fn(w->arg, &b);
}

int store_blocks(struct store_snap *v, store_block_fn *fn, void *arg)
{
	struct blocks w = { .fn = fn, .arg = arg };
	struct store_generation g;
	int rc = store_generation(&g, v);

	w.dim = g.dim;
	return rc ? rc : tx_generation(&v->tx, DB_BLOCK, v->tx.st.generation, one_block, &w);
}
