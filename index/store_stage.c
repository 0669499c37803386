#include "config.h"
#include "index/store.h"

#include <string.h>

#include "index/store_impl.h"

#define MARK_HEAD 20u		/* at, kind, value, length; the text and its NUL follow */
#define CHUNK_HEAD 28u		/* start, end, page, line, length; the heading and its NUL follow */

/* ---- what is given ------------------------------------------------------------ */

static int check_str(const char *s, size_t max, const char *what, char **out)
{
	size_t n = s ? strlen(s) : 0;

	if (n > max)
		return err_set(RAG_EINVAL, "%s of %zu bytes, at most %zu are kept", what, n, max);
	*out = mem_strndup(s ? s : "", n);
	return *out ? RAG_OK : RAG_ENOMEM;
}

/* "key=value,key=value" */
static int check_labels(const char *s)
{
	for (const char *p = s; *p; ) {
		size_t n = strcspn(p, ",");
		const char *eq = memchr(p, '=', n);

		if (!eq || eq == p)
			return err_set(RAG_EINVAL, "label '%.*s' is not of the form key=value",
				       (int)(n < 200 ? n : 200), p);
		p += n;
		if (*p && !*++p)
			return err_set(RAG_EINVAL, "labels '%.200s' end with a comma", s);
	}
	return RAG_OK;
}

/* "key=value" lines */
static int check_about(const char *s)
{
	for (const char *p = s, *end; *p; p = end + 1) {
		const char *eq = strchr(p, '=');

		end = strchr(p, '\n');
		if (!end || !eq || eq == p || eq > end)
			return err_set(RAG_EINVAL, "'%.*s' is no line of the form key=value",
				       (int)strnlen(p, 200), p);
	}
	return RAG_OK;
}

int stage_begin(struct stage **out, struct store_writer *w, const struct stage_doc *d)
{
	struct stage *st = mem_calloc(1, sizeof(*st));
	int rc;

	*out = NULL;
	if (!st)
		return RAG_ENOMEM;
	st->w = w;
	rc = check_str(d->uri, STORE_URI_MAX, "a URI", &st->uri);
	if (!rc && !*st->uri)
		rc = err_set(RAG_EINVAL, "a document needs a URI");
	if (!rc)
		rc = check_str(d->title, STORE_TITLE_MAX, "a title", &st->title);
	if (!rc)
		rc = check_str(d->type, STORE_TYPE_MAX, "a type", &st->type);
	if (!rc)
		rc = check_str(d->labels, STORE_LABELS_MAX, "labels", &st->labels);
	if (!rc)
		rc = check_labels(st->labels);
	if (!rc)
		rc = check_str(d->about, STORE_ABOUT_MAX, "metadata", &st->about);
	if (!rc)
		rc = check_about(st->about);
	if (!rc)
		rc = check_str(d->context, STORE_TITLE_MAX, "a context", &st->context);
	if (rc)
		goto fail;
	memcpy(st->source_hash, d->source_hash, HASH_LEN);
	st->source_size = d->source_size;
	st->source_mtime = d->source_mtime;
	hash_begin(&st->text_hash);
	hash_begin(&st->mark_hash);
	hash_begin(&st->chunk_hash);
	st->next = w->stages;
	w->stages = st;
	*out = st;
	return RAG_OK;
fail:
	stage_free(st);
	return rc;
}

void stage_free(struct stage *st)
{
	struct stage **p;
	bool spilled;

	if (!st)
		return;
	spilled = st->content && !st->published;
	for (p = &st->w->stages; *p && *p != st; p = &(*p)->next)
		;
	if (*p)
		*p = st->next;
	if (spilled)
		store_sweep(st->w);	/* if that fails, the next writer's does it */
	mem_free(st->uri);
	mem_free(st->title);
	mem_free(st->type);
	mem_free(st->labels);
	mem_free(st->about);
	mem_free(st->context);
	buf_release(&st->text);
	buf_release(&st->marks);
	buf_release(&st->chunks);
	buf_release(&st->vec);
	buf_release(&st->words);
	buf_release(&st->tokens);
	mem_free(st);
}

size_t stage_memory(const struct stage *st)
{
	return st->text.len + st->marks.len + st->chunks.len + st->vec.len + st->tokens.len;
}

/* Each call comes in its phase, or begins a later one. */
static int enter(struct stage *st, enum stage_phase phase, const char *what)
{
	if (st->broken || st->published)
		return err_set(RAG_EINVAL, "%s for a stage that %s", what,
			       st->broken ? "has failed" : "is published");
	if (st->phase > phase)
		return err_set(RAG_EINVAL, "%s too late: text, map, chunks, vectors", what);
	st->phase = phase;
	return RAG_OK;
}

int stage_leave(struct stage *st, int rc)
{
	if (!rc && stage_memory(st) > STAGE_MEMORY)
		rc = stage_spill(st);
	if (rc)
		st->broken = true;
	return rc;
}

int stage_text(struct stage *st, const char *s, size_t n)
{
	int rc = enter(st, STAGE_TEXT, "text");

	if (rc)
		return rc;
	hash_add(&st->text_hash, s, n);
	while (!rc && n) {
		size_t some = n < STAGE_MEMORY / 2 ? n : STAGE_MEMORY / 2;

		rc = stage_leave(st, buf_add(&st->text, s, some));
		st->text_len += some;
		s += some;
		n -= some;
	}
	return rc;
}

int stage_marks(struct stage *st, const struct store_mark *m, size_t n)
{
	int rc = enter(st, STAGE_MARKS, "map");

	for (size_t i = 0; !rc && i < n; i++) {
		size_t from = st->marks.len, len = m[i].text ? m[i].text_len : 0;

		if (m[i].at < st->mark_at || m[i].at > st->text_len)
			rc = err_set(RAG_EINVAL, "a mark at %llu, behind %llu, in a text of %llu bytes",
				     (unsigned long long)m[i].at, (unsigned long long)st->mark_at,
				     (unsigned long long)st->text_len);
		else if (m[i].kind < STORE_PAGE || m[i].kind > STORE_LINE || len > STORE_HEADING_MAX)
			rc = err_set(RAG_EINVAL, "a mark of kind %d with %zu bytes", (int)m[i].kind, len);
		if (!rc)
			rc = codec_add64(&st->marks, m[i].at);
		if (!rc)
			rc = codec_add32(&st->marks, m[i].kind);
		if (!rc)
			rc = codec_add32(&st->marks, m[i].value);
		if (!rc)
			rc = codec_addstr(&st->marks, m[i].text ? m[i].text : "", len);
		if (!rc) {
			hash_add(&st->mark_hash, st->marks.data + from, st->marks.len - from);
			st->mark_at = m[i].at;
			rc = stage_leave(st, RAG_OK);
		}
	}
	return rc ? stage_leave(st, rc) : rc;
}

int stage_chunks(struct stage *st, const struct stage_chunk *c, size_t n)
{
	int rc = enter(st, STAGE_CHUNKS, "chunks");

	for (size_t i = 0; !rc && i < n; i++) {
		const char *heading = c[i].heading ? c[i].heading : "";
		size_t len = strlen(heading);

		if (c[i].start > c[i].end || c[i].end > st->text_len || c[i].start < st->chunk_at)
			rc = err_set(RAG_EINVAL, "chunk %llu to %llu, behind %llu, in a text of %llu bytes",
				     (unsigned long long)c[i].start, (unsigned long long)c[i].end,
				     (unsigned long long)st->chunk_at, (unsigned long long)st->text_len);
		else if (len > STORE_HEADING_MAX)
			rc = err_set(RAG_EINVAL, "a heading path of %zu bytes", len);
		if (!rc)
			rc = codec_add64(&st->chunks, c[i].start);
		if (!rc)
			rc = codec_add64(&st->chunks, c[i].end);
		if (!rc)
			rc = codec_add32(&st->chunks, c[i].page);
		if (!rc)
			rc = codec_add32(&st->chunks, c[i].line);
		if (!rc)
			rc = codec_addstr(&st->chunks, heading, len);
		if (!rc) {
			chunk_hash_add(&st->chunk_hash, c[i].start, c[i].end, c[i].page, heading, len);
			st->chunk_at = c[i].start;
			st->n_chunks++;
		}
	}
	/* their ids follow each other, so they wait in memory until all are there */
	if (rc)
		st->broken = true;
	return rc;
}

/* Names the content and fixes the generation. */
int stage_close(struct stage *st)
{
	uint8_t text[HASH_LEN], marks[HASH_LEN], chunks[HASH_LEN];
	struct store_generation g;
	struct store_snap *v;
	int rc;

	if (st->broken || st->published)
		return enter(st, STAGE_CLOSED, "an end");
	if (st->phase == STAGE_CLOSED)
		return RAG_OK;
	rc = store_snap(&v, st->w->s);
	if (rc)
		return rc;
	rc = store_generation(&g, v);
	if (!rc) {
		st->generation = g.id;
		st->dim = g.dim;
		hash_end(text, &st->text_hash);
		hash_end(marks, &st->mark_hash);
		hash_end(chunks, &st->chunk_hash);
		content_name(st->hash, st->type, st->context, text, marks, chunks);
		st->phase = STAGE_CLOSED;
	}
	store_snap_end(v);
	return rc;
}

int stage_have(bool *have, struct stage *st)
{
	struct store_snap *v;
	struct layout l;
	MDB_val val;
	int rc = stage_close(st);

	*have = false;
	if (!rc)
		rc = store_snap(&v, st->w->s);
	if (rc)
		return rc;
	rc = tx_get(&val, &v->tx, DB_HASH, st->hash, HASH_LEN);
	if (!rc && val.mv_size != 8)
		rc = store_corrupt(st->w->s, "a content's entry has %zu bytes", val.mv_size);
	if (!rc)
		rc = layout_get(&l, &v->tx, st->generation, codec_get64(val.mv_data));
	if (!rc)
		rc = content_full(have, &v->tx, st->generation, &l);
	store_snap_end(v);
	return rc == RAG_ENOENT ? RAG_OK : rc;
}

int stage_vectors(struct stage *st, const float *vectors, size_t n)
{
	size_t row, batch;
	int rc = stage_close(st);

	if (rc)
		return rc;
	row = 2 * (size_t)st->dim;
	if (!st->dim)
		rc = err_set(RAG_EINVAL, "vectors for a store without an embedder");
	else if (n > st->n_chunks - st->n_vec)
		rc = err_set(RAG_EINVAL, "%zu vectors for the %llu chunks left", n,
			     (unsigned long long)(st->n_chunks - st->n_vec));
	while (!rc && n) {
		batch = 1 + STAGE_MEMORY / 4 / row;
		batch = n < batch ? n : batch;
		rc = buf_reserve(&st->vec, batch * row);
		if (!rc)
			rc = vec_encode((uint16_t *)(void *)(st->vec.data + st->vec.len), vectors, batch,
					st->dim);
		if (!rc) {
			st->vec.len += batch * row;
			st->n_vec += batch;
			vectors += batch * st->dim;
			n -= batch;
		}
		rc = stage_leave(st, rc);
	}
	return rc;
}

/* ---- words ------------------------------------------------------------------------- */

/* Bytes [start, end) of the text, of which the first pieces may be on disk. */
static int read_text(struct buf *out, struct stage *st, struct store_snap *v, uint64_t start, uint64_t end)
{
	uint64_t on_disk = (uint64_t)st->text_pieces * STORE_PIECE;
	const uint8_t *p;
	uint8_t key[12];
	MDB_val val;
	size_t n;
	int rc = RAG_OK;

	buf_clear(out);
	while (!rc && start < end && start < on_disk) {
		size_t from = (size_t)(start % STORE_PIECE), want;

		key_64_32(key, st->content, (uint32_t)(start / STORE_PIECE));
		rc = tx_get(&val, &v->tx, DB_TEXT, key, sizeof(key));
		if (rc == RAG_ENOENT)
			return store_corrupt(st->w->s, "staged content %llu has lost text",
					     (unsigned long long)st->content);
		if (!rc)
			rc = piece_open(&p, &n, st->w->s, st->content, "text", &val);
		if (rc)
			return rc;
		if (from >= n)		/* the last one may be short */
			break;
		want = n - from < end - start ? n - from : (size_t)(end - start);
		rc = buf_add(out, p + from, want);
		start += want;
	}
	if (!rc && start < end)
		rc = buf_add(out, st->text.data + (start - (st->text_len - st->text.len)), (size_t)(end - start));
	return rc;
}

int stage_words(struct stage *st, size_t max)
{
	struct words_build *b;
	struct buf text = BUF_INIT;
	struct words_field f[3];
	struct store_snap *v;
	size_t at = st->words_at, bytes = 0;
	uint64_t no = st->words_done;
	int rc;

	if (st->words.len || no == st->n_chunks)
		return RAG_OK;
	rc = words_begin(st->w);
	if (!rc)
		rc = store_snap(&v, st->w->s);
	if (rc)
		return rc;
	b = st->w->words;
	words_build_clear(b);
	words_title(&f[0].s, &f[0].n, st->context);
	while (!rc && at < st->chunks.len && bytes < max) {
		const uint8_t *p = (const uint8_t *)st->chunks.data + at;

		rc = read_text(&text, st, v, codec_get64(p), codec_get64(p + 8));
		f[1] = (struct words_field){ (const char *)p + CHUNK_HEAD, codec_get32(p + 24) };
		f[2] = (struct words_field){ buf_str(&text), text.len };
		if (!rc)
			rc = words_build_add(b, no++, f, 3);
		bytes += f[0].n + f[1].n + f[2].n;
		at += CHUNK_HEAD + f[1].n + 1;
	}
	if (!rc)
		rc = words_build_end(&st->words, b);
	store_snap_end(v);
	buf_release(&text);
	if (rc) {
		words_build_clear(b);
		buf_release(&st->words);
		return rc;
	}
	st->words_next = no;
	st->words_at = at;
	return RAG_OK;
}

/* ---- to disk ----------------------------------------------------------------------- */

static int put_piece(struct tx *t, enum store_db db, uint64_t content, uint32_t i, const char *p, size_t n)
{
	uint8_t key[12];
	void *val;
	int rc;

	key_64_32(key, content, i);
	rc = tx_reserve(&val, t, db, key, sizeof(key), n + 4);
	if (rc)
		return rc;
	codec_put32(val, codec_crc(0, p, n));
	memcpy((uint8_t *)val + 4, p, n);
	return RAG_OK;
}

/* Whole marks that fit a piece: the cut depends on the marks alone. */
static size_t marks_piece(const char *p, size_t n)
{
	size_t len = 0;

	while (len < n) {
		size_t one = MARK_HEAD + codec_get32((const uint8_t *)p + len + 16) + 1;

		if (len + one > STORE_PIECE)
			break;
		len += one;
	}
	return len;
}

static int put_chunk(size_t *len, struct tx *t, struct buf *tmp, uint32_t gen, uint64_t content, uint64_t id,
		     const char *p)
{
	uint8_t key[12];
	int rc;

	*len = CHUNK_HEAD + codec_get32((const uint8_t *)p + 24) + 1;
	key_gen64(key, gen, id);
	buf_clear(tmp);
	rc = codec_add64(tmp, content);
	if (!rc)
		rc = buf_add(tmp, p, *len);
	if (!rc)
		rc = codec_seal(tmp, 0);
	return rc ? rc : tx_put(t, DB_CHUNK, key, sizeof(key), tmp->data, tmp->len);
}

int stage_write(struct written *w, struct tx *t, const struct stage *st, uint64_t content,
		uint64_t first, size_t max)
{
	bool whole = st->phase == STAGE_CLOSED;		/* the last piece may be short */
	struct buf tmp = BUF_INIT;
	int rc = RAG_OK;

	memset(w, 0, sizeof(*w));
	while (!rc && w->text < st->text.len && w->text < max) {
		size_t n = st->text.len - w->text;

		if (n < STORE_PIECE && !whole)
			break;
		n = n < STORE_PIECE ? n : STORE_PIECE;
		rc = put_piece(t, DB_TEXT, content, st->text_pieces + w->text_pieces++,
			       st->text.data + w->text, n);
		w->text += n;
	}
	while (!rc && w->marks < st->marks.len && w->marks < max) {
		size_t left = st->marks.len - w->marks, n = marks_piece(st->marks.data + w->marks, left);

		if (n == left && !whole)
			break;
		rc = put_piece(t, DB_MARK, content, st->mark_pieces + w->mark_pieces++,
			       st->marks.data + w->marks, n);
		w->marks += n;
	}
	while (!rc && first && w->chunks < st->chunks.len && w->chunks < max) {
		size_t n;

		rc = put_chunk(&n, t, &tmp, st->generation, content, first + st->chunks_done + w->n_chunks,
			       st->chunks.data + w->chunks);
		w->chunks += n;
		w->n_chunks++;
	}
	buf_release(&tmp);
	return rc;
}

static void drop_front(struct buf *b, size_t n)
{
	if (!n)
		return;
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
	if (!b->len)
		buf_release(b);
}

struct spill {
	struct stage *st;
	struct written w;
	uint64_t content, first, vec_done, tokens;
};

/* The content's record in limbo, with ids for its chunks once there are all. */
static int spill_limbo(struct spill *s, struct tx *t)
{
	const struct stage *st = s->st;
	struct limbo l;

	s->content = st->content ? st->content : t->st.next_content++;
	s->first = st->first_chunk;
	if (!s->first && st->phase == STAGE_CLOSED && st->n_chunks) {
		s->first = t->st.next_chunk;
		t->st.next_chunk += st->n_chunks;
	}
	l = (struct limbo){ t->st.generation, s->first, s->first ? st->n_chunks : 0 };
	return limbo_put(t, s->content, &l);
}

static int spill_words_txn(struct tx *t, void *arg)
{
	struct spill *s = arg;
	struct stage *st = s->st;
	struct hidden h = { st->n_chunks, st->words_next, 1 };
	struct words_new in = { &st->words, 0 };
	int rc = spill_limbo(s, t);

	in.base = s->first;
	if (!rc)
		rc = hidden_put(t, DB_WORDS_HIDDEN, st->generation, s->first, &h);
	return rc ? rc : words_append(t, st->generation, &in, 1);
}

/* Before the chunks' records leave memory. */
static int spill_words(struct stage *st)
{
	struct spill s = { .st = st };
	int rc = RAG_OK;

	while (!rc && st->words_done < st->n_chunks) {
		rc = stage_words(st, STAGE_MEMORY / 2);
		if (!rc)
			rc = store_txn(st->w->s, spill_words_txn, &s);
		if (rc)
			break;
		st->content = s.content;
		st->first_chunk = s.first;
		st->words_done = st->words_next;
		buf_release(&st->words);
	}
	return rc;
}

/* One bounded step of spilling; memory is brought up to date when it is durable. */
static int spill_txn(struct tx *t, void *arg)
{
	struct spill *s = arg;
	struct stage *st = s->st;
	struct vec_rows rows = { 0 };
	size_t row = 2 * (size_t)st->dim;
	int rc = spill_limbo(s, t);

	s->vec_done = st->vec_done;
	if (!rc)
		rc = stage_write(&s->w, t, st, s->content, s->first, STAGE_MEMORY);
	for (size_t i = 0; !rc && s->first && i < st->vec.len; i += row)
		rc = rows_add(&rows, s->first + s->vec_done++, (uint8_t *)st->vec.data + i);
	if (!rc && rows.n) {
		struct hidden h = { st->n_chunks, s->vec_done, 1 };

		rc = hidden_put(t, DB_HIDDEN, st->generation, s->first, &h);
		if (!rc)
			rc = block_append(t, st->generation, st->dim, &rows);
	}
	rows_release(&rows);
	s->tokens = 0;
	if (!rc && s->first)
		rc = stage_write_tokens(&s->tokens, t, st, s->first);
	return rc;
}

int stage_spill(struct stage *st)
{
	struct spill s = { .st = st };
	int rc = RAG_OK;

	if (st->phase == STAGE_CLOSED)
		rc = spill_words(st);
	while (!rc && stage_memory(st)) {
		rc = store_txn(st->w->s, spill_txn, &s);
		if (rc)
			break;
		st->content = s.content;
		st->first_chunk = s.first;
		st->text_pieces += s.w.text_pieces;
		st->mark_pieces += s.w.mark_pieces;
		st->chunks_done += s.w.n_chunks;
		st->vec_done = s.vec_done;
		st->tokens_done += s.tokens;
		drop_front(&st->text, s.w.text);
		drop_front(&st->marks, s.w.marks);
		drop_front(&st->chunks, s.w.chunks);
		if (s.first) {
			buf_release(&st->vec);
			buf_release(&st->tokens);
		}
		if (st->phase < STAGE_CLOSED)
			break;		/* the rest is not yet final */
	}
	return rc;
}
