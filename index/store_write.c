#include "config.h"
#include "index/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "index/store_impl.h"

/* ---- the writer ------------------------------------------------------------------ */

static int lock_take(int *out, const struct store *s)
{
	const char *path = s->lock_path;
	char pid[32];
	ssize_t n;
	int fd, dead;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_set(errno == EACCES || errno == EROFS || errno == EPERM ? RAG_EDENIED :
			       errno == ENOSPC || errno == EDQUOT ? RAG_EFULL : RAG_EIO,
			       "cannot write store '%s': cannot open '%s': %s", s->dir, path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int e = errno;

		n = pread(fd, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? n : 0] = 0;
		pid[strcspn(pid, "\n")] = 0;
		close(fd);
		if (e == EWOULDBLOCK)
			return err_set(RAG_EBUSY, "store in use, '%s' is being written by process %s", s->dir,
				       *pid ? pid : "unknown");
		return err_set(RAG_EIO, "cannot lock '%s': %s", path, strerror(e));
	}
	*out = fd;
	mdb_reader_check(s->env, &dead);	/* killed readers would keep old pages for ever */
	n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)n, 0) != n)
		return RAG_OK;		/* it is for people: nothing depends on it */
	return RAG_OK;
}

int store_write_begin(struct store_writer **out, struct store *s)
{
	struct store_writer *w;
	int rc;

	*out = NULL;
	if (s->read_only)
		return err_set(RAG_EDENIED, "store '%s' can only be read", s->dir);
	w = mem_calloc(1, sizeof(*w));
	if (!w)
		return RAG_ENOMEM;
	w->s = s;
	w->lock_fd = -1;
	rc = lock_take(&w->lock_fd, s);
	if (!rc)
		rc = store_sweep(w);
	if (!rc)
		rc = words_begin(w);
	if (rc)
		goto fail;
	*out = w;
	return RAG_OK;
fail:
	store_write_end(w);
	return rc;
}

void store_write_end(struct store_writer *w)
{
	if (!w)
		return;
	while (w->stages)
		stage_free(w->stages);
	if (w->lock_fd >= 0)
		close(w->lock_fd);
	words_build_free(w->words);
	mem_free(w);
}

/* ---- sweep ------------------------------------------------------------------------------ */

struct sweep {
	const struct store_writer *w;
	bool more;
};

static bool staged(const struct store_writer *w, uint64_t content)
{
	for (const struct stage *st = w->stages; st; st = st->next)
		if (st->content == content && !st->published)
			return true;
	return false;
}

/* Deletes keys from <= key < to (of 12 bytes both) while there is budget. */
static int del_range(struct tx *t, enum store_db db, const uint8_t from[12], const uint8_t to[12],
		     unsigned *budget)
{
	MDB_cursor *c;
	uint8_t k[12];
	MDB_val key, val;
	int rc = tx_cursor(&c, t, db);

	if (rc)
		return rc;
	while (*budget) {
		key = (MDB_val){ 12, (void *)(uintptr_t)from };
		rc = tx_seek(&key, &val, t, c, MDB_SET_RANGE);
		if (rc || key.mv_size != sizeof(k) || memcmp(key.mv_data, to, sizeof(k)) >= 0)
			break;
		memcpy(k, key.mv_data, sizeof(k));
		rc = tx_del(t, db, k, sizeof(k));
		if (rc)
			break;
		--*budget;
	}
	mdb_cursor_close(c);
	return rc == RAG_ENOENT ? RAG_OK : rc;
}

static int sweep_one(struct tx *t, uint64_t content, const struct limbo *l, unsigned *budget)
{
	uint8_t from[12], to[12];
	struct hidden h;
	int rc;

	key_64_32(from, content, 0);
	key_64_32(to, content + 1, 0);
	rc = del_range(t, DB_TEXT, from, to, budget);
	if (!rc)
		rc = del_range(t, DB_MARK, from, to, budget);
	key_gen64(from, l->generation, l->first);
	key_gen64(to, l->generation, l->first + l->n);
	if (!rc)
		rc = del_range(t, DB_CHUNK, from, to, budget);
	if (!rc)
		rc = del_range(t, DB_TOKENS, from, to, budget);
	if (rc || !*budget)
		return rc;
	for (int i = 0; l->n && i < 2; i++) {
		enum store_db db = i ? DB_WORDS_HIDDEN : DB_HIDDEN;

		rc = hidden_get(&h, t, db, l->generation, l->first);
		if (!rc && h.staged) {		/* of a stage that is no more */
			h.staged = 0;
			rc = hidden_put(t, db, l->generation, l->first, &h);
		}
		if (rc && rc != RAG_ENOENT)
			return rc;
	}
	codec_key64(from, content);
	return tx_del(t, DB_LIMBO, from, 8);
}

static int sweep_txn(struct tx *t, void *arg)
{
	struct sweep *job = arg;
	unsigned budget = STORE_BATCH;
	uint64_t content = 0;
	struct limbo l;
	MDB_cursor *c;
	uint8_t from[8];
	MDB_val key, val;
	int rc = tx_cursor(&c, t, DB_LIMBO);

	if (rc)
		return rc;
	job->more = false;
	for (;;) {
		codec_key64(from, content + 1);
		key = (MDB_val){ sizeof(from), from };
		rc = tx_seek(&key, &val, t, c, MDB_SET_RANGE);
		if (rc)
			break;
		if (!budget) {
			job->more = true;
			break;
		}
		content = codec_unkey64(key.mv_data);
		if (staged(job->w, content))
			continue;
		rc = limbo_decode(&l, t->s, content, &val);
		if (!rc)
			rc = sweep_one(t, content, &l, &budget);
		if (rc)
			break;
		if (!budget)
			content--;	/* not through with it */
	}
	mdb_cursor_close(c);
	return rc == RAG_ENOENT ? RAG_OK : rc;
}

int store_sweep(struct store_writer *w)
{
	struct sweep job = { w, true };
	struct store_snap *v;
	MDB_cursor *c;
	MDB_val key, val;
	bool any = false;
	int rc = store_snap(&v, w->s);

	if (rc)
		return rc;
	rc = tx_cursor(&c, &v->tx, DB_LIMBO);
	if (!rc) {
		for (rc = tx_seek(&key, &val, &v->tx, c, MDB_FIRST); !rc && !any;
		     rc = tx_seek(&key, &val, &v->tx, c, MDB_NEXT))
			any = key.mv_size == 8 && !staged(w, codec_unkey64(key.mv_data));
		mdb_cursor_close(c);
	}
	store_snap_end(v);
	if (rc && rc != RAG_ENOENT)
		return rc;
	rc = RAG_OK;
	while (any && !rc && job.more)
		rc = store_txn(w->s, sweep_txn, &job);
	return rc;
}

/* ---- forget, seen ------------------------------------------------------------------------ */

struct forget {
	const uint64_t *docs;
	size_t n;
};

static int forget_txn(struct tx *t, void *arg)
{
	const struct forget *job = arg;
	struct store_doc d;
	uint64_t other;
	uint8_t key[HASH_LEN];
	MDB_val v;
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i < job->n; i++) {
		codec_key64(key, job->docs[i]);
		rc = tx_get(&v, t, DB_DOC, key, 8);
		if (rc == RAG_ENOENT)
			return err_set(RAG_ENOENT, "no document %llu", (unsigned long long)job->docs[i]);
		if (!rc)
			rc = doc_decode(&d, t->s, job->docs[i], &v);
		if (rc)
			return rc;
		hash_bytes(key, d.uri, d.uri_len);
		rc = tx_del(t, DB_URI, key, HASH_LEN);
		if (rc == RAG_ENOENT)
			return store_corrupt(t->s, "document %llu has no entry for its URI",
					     (unsigned long long)d.id);
		codec_key64(key, d.id);
		if (!rc)
			rc = tx_del(t, DB_DOC, key, 8);
		if (!rc)
			rc = owner_del(t, d.content, d.id);
		if (!rc)
			rc = owner_first(&other, t, d.content);
		if (rc == RAG_ENOENT)
			rc = content_retire(t, d.content);
		t->st.documents--;
	}
	return rc;
}

int store_forget(struct store_writer *w, const uint64_t *docs, size_t n)
{
	struct forget job = { docs, n };
	int rc = words_begin(w);

	if (!rc)
		rc = store_txn(w->s, forget_txn, &job);
	if (!rc && !store_sweep(w) && !store_compact_blocks(w))
		store_tidy_words(w);
	return rc;
}

/* ---- generation and its vectors ------------------------------------------------------------ */

struct set_gen {
	const char *chunking, *embedder;
	const uint8_t *fingerprint;
	size_t dim;
};

static int gen_txn(struct tx *t, void *arg)
{
	const struct set_gen *job = arg;
	uint8_t key[4], print[HASH_LEN] = { 0 };
	struct buf b = BUF_INIT;
	struct store_generation g;
	const char *embedder;
	uint32_t dim;
	int rc = gen_get(&g, t, t->st.generation);

	if (rc)
		return rc;
	embedder = job->embedder ? job->embedder : g.embedder;
	dim = job->embedder ? (uint32_t)job->dim : g.dim;
	memcpy(print, job->embedder ? job->fingerprint : g.fingerprint, HASH_LEN);
	rc = codec_add32(&b, dim);
	if (!rc)
		rc = buf_add(&b, print, HASH_LEN);
	if (!rc)
		rc = codec_addstr(&b, embedder, strlen(embedder));
	if (!rc)
		rc = codec_addstr(&b, job->chunking, strlen(job->chunking));
	if (!rc)
		rc = codec_seal(&b, 0);
	if (!rc && (dim != g.dim || memcmp(print, g.fingerprint, HASH_LEN))) {
		if (t->st.vectors)
			rc = err_set(RAG_EMISMATCH, "store '%s' was built with embedder '%s' (%u dimensions), "
				     "not with '%s' (%u)", t->s->dir, g.embedder, g.dim, embedder, dim);
		else
			rc = blocks_drop(t, t->st.generation);	/* dead rows of the other one */
		if (!rc)
			rc = tokens_drop(t, t->st.generation);
	}
	codec_key32(key, t->st.generation);
	if (!rc)
		rc = tx_put(t, DB_GEN, key, sizeof(key), b.data, b.len);
	buf_release(&b);
	return rc;
}

int store_set_generation(struct store_writer *w, const char *chunking, const char *embedder,
			 const uint8_t fingerprint[HASH_LEN], size_t dim)
{
	struct set_gen job = { chunking ? chunking : "", embedder, fingerprint, dim };
	struct store_generation g;
	struct store_snap *v;
	bool same;
	int rc;

	if (embedder && (!*embedder || !fingerprint || dim < 1 || dim > STORE_DIM_MAX))
		return err_set(RAG_EINVAL, "an embedder '%.200s' of %zu dimensions", embedder, dim);
	if (strlen(job.chunking) > STORE_HEADING_MAX || (embedder && strlen(embedder) > STORE_HEADING_MAX))
		return err_set(RAG_EINVAL, "a generation's description is too long");
	rc = store_snap(&v, w->s);
	if (rc)
		return rc;
	rc = store_generation(&g, v);
	same = !rc && !strcmp(g.chunking, job.chunking) &&
	       (!embedder || (g.dim == dim && !memcmp(g.fingerprint, fingerprint, HASH_LEN)));
	store_snap_end(v);
	if (rc || same)
		return rc;
	for (const struct stage *st = w->stages; st; st = st->next)
		if (st->phase == STAGE_CLOSED && !st->published)
			return err_set(RAG_EINVAL, "another generation while '%.200s' is being staged", st->uri);
	return store_txn(w->s, gen_txn, &job);
}

struct add {
	const uint64_t *ids;
	const uint8_t *vec;
	const struct store_bytes *tokens;	/* NULL: none */
	size_t n;
	uint32_t dim;
	struct vec_rows rows;
};

/* The layout whose range of lacking chunks holds id; RAG_ENOENT: none does. */
static int lack_find(uint64_t *content, struct layout *l, struct tx *t, uint64_t id)
{
	uint32_t gen = t->st.generation;
	MDB_cursor *c;
	uint8_t at[12];
	MDB_val key = { sizeof(at), at }, val;
	int rc = tx_cursor(&c, t, DB_LACK);

	if (rc)
		return rc;
	key_gen64(at, gen, id);
	rc = tx_seek(&key, &val, t, c, MDB_SET_RANGE);
	if (rc == RAG_ENOENT)
		rc = tx_seek(&key, &val, t, c, MDB_LAST);
	else if (!rc && (key.mv_size != 12 || memcmp(key.mv_data, at, 12)))
		rc = tx_seek(&key, &val, t, c, MDB_PREV);
	if (!rc && (key.mv_size != 12 || val.mv_size != 8 || codec_unkey32(key.mv_data) != gen))
		rc = RAG_ENOENT;
	if (!rc) {
		*content = codec_get64(val.mv_data);
		rc = layout_get(l, t, gen, *content);
		if (rc == RAG_ENOENT)
			rc = store_corrupt(t->s, "what lacks vectors is not there");
		else if (!rc && (id < l->first || id - l->first >= l->n))
			rc = RAG_ENOENT;
	}
	mdb_cursor_close(c);
	return rc;
}

static int add_txn(struct tx *t, void *arg)
{
	struct add *job = arg;
	uint64_t content = 0;
	struct layout l = { 0 };
	int rc = RAG_OK;

	rows_release(&job->rows);
	for (size_t i = 0; !rc && i < job->n; i++) {
		uint64_t id = job->ids[i];

		if (!content || id < l.first || id - l.first >= l.n) {
			if (content)
				rc = layout_put(t, t->st.generation, content, &l);
			content = 0;
			if (!rc)
				rc = lack_find(&content, &l, t, id);
			if (rc == RAG_ENOENT) {		/* forgotten, or it has one by now */
				content = 0;
				rc = RAG_OK;
				continue;
			}
		}
		if (rc || id - l.first < l.n_vec)
			continue;
		if (id - l.first > l.n_vec)
			return err_set(RAG_EINVAL, "a vector for chunk %llu before that of %llu",
				       (unsigned long long)id, (unsigned long long)(l.first + l.n_vec));
		rc = rows_add(&job->rows, id, job->vec + i * 2 * (size_t)job->dim);
		if (!rc && job->tokens)
			rc = tokens_put(t, t->st.generation, id, job->tokens[i].p, job->tokens[i].n);
		l.n_vec++;
		t->st.vectors++;
	}
	if (!rc && content)
		rc = layout_put(t, t->st.generation, content, &l);
	return rc ? rc : block_append(t, t->st.generation, job->dim, &job->rows);
}

int store_add_vectors(struct store_writer *w, const uint64_t *chunks, const float *vectors,
		      const struct store_bytes *tokens, size_t n)
{
	struct store_generation g;
	struct store_snap *v;
	struct add job = { 0 };
	uint16_t *vec;
	size_t batch, dim;
	int rc = store_snap(&v, w->s);

	if (rc)
		return rc;
	rc = store_generation(&g, v);
	store_snap_end(v);
	if (rc)
		return rc;
	if (!g.dim)
		return err_set(RAG_EINVAL, "vectors for a store without an embedder");
	for (size_t i = 1; i < n; i++)
		if (chunks[i] <= chunks[i - 1])
			return err_set(RAG_EINVAL, "chunks out of order");
	if (tokens && (rc = tokens_check(w->s, tokens, n)))
		return rc;
	dim = g.dim;
	batch = block_rows(g.dim);
	vec = mem_alloc(batch * dim * sizeof(*vec));
	if (!vec)
		return RAG_ENOMEM;
	for (size_t i = 0; !rc && i < n; i += job.n) {
		job.n = n - i < batch ? n - i : batch;
		job.ids = chunks + i;
		job.tokens = tokens ? tokens + i : NULL;
		job.vec = (const uint8_t *)vec;
		job.dim = g.dim;
		rc = vec_encode(vec, vectors + i * dim, job.n, dim);
		if (!rc)
			rc = store_txn(w->s, add_txn, &job);
	}
	rows_release(&job.rows);
	mem_free(vec);
	return rc;
}
