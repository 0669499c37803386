#include "config.h"
#include "index/store.h"

#include <string.h>

#include "index/store_impl.h"

/* ---- records --------------------------------------------------------------- */

int doc_decode(struct store_doc *out, const struct store *s, uint64_t id, const MDB_val *v)
{
	struct codec_in in;
	const uint8_t *hash;

	memset(out, 0, sizeof(*out));
	codec_open(&in, v->mv_data, v->mv_size);
	out->id = id;
	out->content = codec_read64(&in);
	hash = codec_read(&in, HASH_LEN);
	if (hash)
		memcpy(out->source_hash, hash, HASH_LEN);
	out->source_size = codec_read64(&in);
	out->source_mtime = (int64_t)codec_read64(&in);
	out->added = (int64_t)codec_read64(&in);
	out->modified = (int64_t)codec_read64(&in);
	out->uri = codec_readstr(&in, &out->uri_len);
	out->title = codec_readstr(&in, NULL);
	out->type = codec_readstr(&in, NULL);
	out->labels = codec_readstr(&in, NULL);
	out->about = in.p < in.end ? codec_readstr(&in, NULL) : "";
	return codec_done(&in) ? RAG_OK :
	       store_corrupt(s, "document %llu fails its checksum", (unsigned long long)id);
}

int content_decode(struct content *out, const struct store *s, uint64_t id, const MDB_val *v)
{
	struct codec_in in;
	const uint8_t *hash;

	codec_open(&in, v->mv_data, v->mv_size);
	hash = codec_read(&in, HASH_LEN);
	if (hash)
		memcpy(out->hash, hash, HASH_LEN);
	out->text_len = codec_read64(&in);
	out->text_pieces = codec_read32(&in);
	out->mark_pieces = codec_read32(&in);
	out->type = codec_readstr(&in, &out->type_len);
	out->context = codec_readstr(&in, &out->context_len);
	if (!codec_done(&in))
		return store_corrupt(s, "content %llu fails its checksum", (unsigned long long)id);
	if (out->text_pieces != (out->text_len + STORE_PIECE - 1) / STORE_PIECE)
		return store_corrupt(s, "content %llu has %u pieces for %llu bytes", (unsigned long long)id,
				     out->text_pieces, (unsigned long long)out->text_len);
	return RAG_OK;
}

int content_get(struct content *out, struct tx *t, uint64_t id)
{
	uint8_t key[8];
	MDB_val v;
	int rc;

	codec_key64(key, id);
	rc = tx_get(&v, t, DB_CONTENT, key, sizeof(key));
	return rc ? rc : content_decode(out, t->s, id, &v);
}

int layout_decode(struct layout *out, const struct store *s, uint64_t content, const MDB_val *v)
{
	struct codec_in in;

	codec_open(&in, v->mv_data, v->mv_size);
	out->first = codec_read64(&in);
	out->n = codec_read64(&in);
	out->n_vec = codec_read64(&in);
	if (!codec_done(&in) || out->n_vec > out->n || out->first + out->n < out->first)
		return store_corrupt(s, "layout of content %llu fails its checksum",
				     (unsigned long long)content);
	return RAG_OK;
}

int layout_get(struct layout *out, struct tx *t, uint32_t gen, uint64_t content)
{
	uint8_t key[12];
	MDB_val v;
	int rc;

	key_gen64(key, gen, content);
	rc = tx_get(&v, t, DB_LAYOUT, key, sizeof(key));
	return rc ? rc : layout_decode(out, t->s, content, &v);
}

int chunk_decode(struct store_chunk *out, const struct store *s, uint64_t id, const MDB_val *v)
{
	struct codec_in in;

	codec_open(&in, v->mv_data, v->mv_size);
	out->id = id;
	out->content = codec_read64(&in);
	out->start = codec_read64(&in);
	out->end = codec_read64(&in);
	out->page = codec_read32(&in);
	out->line = codec_read32(&in);
	out->heading = codec_readstr(&in, &out->heading_len);
	if (!codec_done(&in) || out->start > out->end)
		return store_corrupt(s, "chunk %llu fails its checksum", (unsigned long long)id);
	return RAG_OK;
}

int gen_get(struct store_generation *out, struct tx *t, uint32_t gen)
{
	struct codec_in in;
	const uint8_t *print;
	uint8_t key[4];
	MDB_val v;
	int rc;

	codec_key32(key, gen);
	rc = tx_get(&v, t, DB_GEN, key, sizeof(key));
	if (rc == RAG_ENOENT)
		return store_corrupt(t->s, "generation %u is missing", gen);
	if (rc)
		return rc;
	codec_open(&in, v.mv_data, v.mv_size);
	out->id = gen;
	out->dim = codec_read32(&in);
	print = codec_read(&in, HASH_LEN);
	if (print)
		memcpy(out->fingerprint, print, HASH_LEN);
	out->embedder = codec_readstr(&in, NULL);
	out->chunking = codec_readstr(&in, NULL);
	if (!codec_done(&in) || out->dim > STORE_DIM_MAX)
		return store_corrupt(t->s, "generation %u fails its checksum", gen);
	return RAG_OK;
}

int hidden_decode(struct hidden *out, const struct store *s, uint64_t first, const MDB_val *v)
{
	struct codec_in in;

	codec_open(&in, v->mv_data, v->mv_size);
	out->n = codec_read64(&in);
	out->rows = codec_read64(&in);
	out->staged = codec_read32(&in);
	if (!codec_done(&in) || out->rows > out->n || first + out->n < first)
		return store_corrupt(s, "hidden range %llu fails its checksum", (unsigned long long)first);
	return RAG_OK;
}

int limbo_decode(struct limbo *out, const struct store *s, uint64_t content, const MDB_val *v)
{
	struct codec_in in;

	codec_open(&in, v->mv_data, v->mv_size);
	out->generation = codec_read32(&in);
	out->first = codec_read64(&in);
	out->n = codec_read64(&in);
	return codec_done(&in) ? RAG_OK :
	       store_corrupt(s, "limbo record %llu fails its checksum", (unsigned long long)content);
}

int uri_doc(uint64_t *id, struct tx *t, const char *uri, size_t n)
{
	uint8_t key[HASH_LEN];
	MDB_val v;
	int rc;

	hash_bytes(key, uri, n);
	rc = tx_get(&v, t, DB_URI, key, sizeof(key));
	if (rc)
		return rc;
	if (v.mv_size != 8)
		return store_corrupt(t->s, "a URI's entry has %zu bytes", v.mv_size);
	*id = codec_get64(v.mv_data);
	return RAG_OK;
}

bool mark_decode(struct store_mark *out, struct codec_in *in)
{
	out->at = codec_read64(in);
	out->kind = (enum store_mark_kind)codec_read32(in);
	out->value = codec_read32(in);
	out->text = codec_readstr(in, &out->text_len);
	return !in->bad && out->kind >= STORE_PAGE && out->kind <= STORE_LINE;
}

int piece_open(const uint8_t **p, size_t *n, const struct store *s, uint64_t content, const char *kind,
	       const MDB_val *v)
{
	const uint8_t *data = v->mv_data;

	if (v->mv_size < 4 || v->mv_size > STORE_PIECE + 4 ||
	    codec_get32(data) != codec_crc(0, data + 4, v->mv_size - 4))
		return store_corrupt(s, "%s of content %llu fails its checksum", kind,
				     (unsigned long long)content);
	*p = data + 4;
	*n = v->mv_size - 4;
	return RAG_OK;
}

void content_name(uint8_t out[HASH_LEN], const char *type, const char *context,
		  const uint8_t text[HASH_LEN], const uint8_t marks[HASH_LEN], const uint8_t chunks[HASH_LEN])
{
	struct hash_state h;

	hash_begin(&h);
	hash_add(&h, type, strlen(type) + 1);
	hash_add(&h, context, strlen(context) + 1);
	hash_add(&h, text, HASH_LEN);
	hash_add(&h, marks, HASH_LEN);
	hash_add(&h, chunks, HASH_LEN);
	hash_end(out, &h);
}

void chunk_hash_add(struct hash_state *h, uint64_t start, uint64_t end, uint32_t page,
		    const char *heading, size_t n)
{
	uint8_t head[28];

	codec_put64(head, start);
	codec_put64(head + 8, end);
	codec_put32(head + 16, page);
	codec_put64(head + 20, n);
	hash_add(h, head, sizeof(head));
	hash_add(h, heading, n);
}

/* ---- documents ------------------------------------------------------------------ */

/* Fills in what the content knows. */
static int doc_whole(struct store_doc *d, struct tx *t)
{
	struct content c;
	struct layout l;
	int rc = content_get(&c, t, d->content);

	if (!rc)
		rc = layout_get(&l, t, t->st.generation, d->content);
	if (rc == RAG_ENOENT)
		return store_corrupt(t->s, "document %llu has lost its content", (unsigned long long)d->id);
	if (rc)
		return rc;
	d->text_len = c.text_len;
	d->n_chunks = l.n;
	return RAG_OK;
}

int store_doc(struct store_doc *out, struct store_snap *v, uint64_t id)
{
	uint8_t key[8];
	MDB_val val;
	int rc;

	codec_key64(key, id);
	rc = tx_get(&val, &v->tx, DB_DOC, key, sizeof(key));
	if (rc == RAG_ENOENT)
		return err_set(RAG_ENOENT, "no document %llu", (unsigned long long)id);
	if (!rc)
		rc = doc_decode(out, v->tx.s, id, &val);
	return rc ? rc : doc_whole(out, &v->tx);
}

int store_doc_by_uri(struct store_doc *out, struct store_snap *v, const char *uri)
{
	uint64_t id;
	int rc = uri_doc(&id, &v->tx, uri, strlen(uri));

	if (rc == RAG_ENOENT)
		return err_set(RAG_ENOENT, "no document '%s'", uri);
	return rc ? rc : store_doc(out, v, id);
}

int store_docs(struct store_snap *v, store_doc_fn *fn, void *arg)
{
	struct store_doc d;
	MDB_cursor *c;
	MDB_val key, val;
	int rc = tx_cursor(&c, &v->tx, DB_DOC);

	if (rc)
		return rc;
	rc = tx_seek(&key, &val, &v->tx, c, MDB_FIRST);
	while (!rc) {
		if (key.mv_size != 8) {
			rc = store_corrupt(v->tx.s, "a document's key has %zu bytes", key.mv_size);
			break;
		}
		rc = doc_decode(&d, v->tx.s, codec_unkey64(key.mv_data), &val);
		if (!rc)
			rc = doc_whole(&d, &v->tx);
		if (!rc)
			rc = fn(arg, &d);
		if (rc)
			goto out;	/* whatever fn said, RAG_ENOENT too */
		rc = tx_seek(&key, &val, &v->tx, c, MDB_NEXT);
	}
	if (rc == RAG_ENOENT)
		rc = RAG_OK;
out:
	mdb_cursor_close(c);
	return rc;
}

int store_content_docs(struct store_snap *v, uint64_t content, store_doc_fn *fn, void *arg)
{
	struct store_doc d;
	MDB_cursor *c;
	uint8_t from[16];
	MDB_val key = { sizeof(from), from }, val;
	int rc = tx_cursor(&c, &v->tx, DB_OWNER);

	if (rc)
		return rc;
	key_64_64(from, content, 0);
	rc = tx_seek(&key, &val, &v->tx, c, MDB_SET_RANGE);
	while (!rc && key.mv_size == 16 && codec_unkey64(key.mv_data) == content) {
		rc = store_doc(&d, v, codec_unkey64((const uint8_t *)key.mv_data + 8));
		if (rc == RAG_ENOENT)
			rc = store_corrupt(v->tx.s, "content %llu belongs to a document that is none",
					   (unsigned long long)content);
		if (!rc)
			rc = fn(arg, &d);
		if (rc)
			goto out;
		rc = tx_seek(&key, &val, &v->tx, c, MDB_NEXT);
	}
	if (rc == RAG_ENOENT)
		rc = RAG_OK;
out:
	mdb_cursor_close(c);
	return rc;
}

/* ---- contents ------------------------------------------------------------------------ */

static int visible(struct content *out, struct store_snap *v, uint64_t content)
{
	int rc = content_get(out, &v->tx, content);

	return rc == RAG_ENOENT ? err_set(RAG_ENOENT, "no content %llu", (unsigned long long)content) : rc;
}

int store_text(struct buf *out, struct store_snap *v, uint64_t content, uint64_t start, uint64_t end)
{
	struct content c;
	const uint8_t *p;
	uint8_t key[12];
	MDB_val val;
	size_t n;
	int rc = visible(&c, v, content);

	if (rc)
		return rc;
	if (start > end || end > c.text_len)
		return err_set(RAG_EINVAL, "bytes %llu to %llu of a text of %llu", (unsigned long long)start,
			       (unsigned long long)end, (unsigned long long)c.text_len);
	rc = buf_reserve(out, (size_t)(end - start));
	while (!rc && start < end) {
		uint32_t piece = (uint32_t)(start / STORE_PIECE);
		size_t from = (size_t)(start % STORE_PIECE), want;

		key_64_32(key, content, piece);
		rc = tx_get(&val, &v->tx, DB_TEXT, key, sizeof(key));
		if (rc == RAG_ENOENT)
			return store_corrupt(v->tx.s, "content %llu has lost text", (unsigned long long)content);
		if (rc)
			return rc;
		if (v->seen_content == content && v->seen_piece == piece && val.mv_size >= 4) {
			p = (const uint8_t *)val.mv_data + 4;
			n = val.mv_size - 4;
		} else {
			rc = piece_open(&p, &n, v->tx.s, content, "text", &val);
			if (rc)
				return rc;
			v->seen_content = content;
			v->seen_piece = piece;
		}
		if (from >= n)
			return store_corrupt(v->tx.s, "content %llu has lost text", (unsigned long long)content);
		want = n - from < end - start ? n - from : (size_t)(end - start);
		rc = buf_add(out, p + from, want);
		start += want;
	}
	return rc;
}

int store_chunk(struct store_chunk *out, struct store_snap *v, uint64_t id)
{
	struct layout l;
	struct content c;
	uint8_t key[12];
	MDB_val val;
	int rc;

	key_gen64(key, v->tx.st.generation, id);
	rc = tx_get(&val, &v->tx, DB_CHUNK, key, sizeof(key));
	if (!rc)
		rc = chunk_decode(out, v->tx.s, id, &val);
	/* its record may wait for the sweep, or its document for publication */
	if (!rc)
		rc = content_get(&c, &v->tx, out->content);
	if (!rc)
		rc = layout_get(&l, &v->tx, v->tx.st.generation, out->content);
	if (rc == RAG_ENOENT)
		return err_set(RAG_ENOENT, "no chunk %llu", (unsigned long long)id);
	if (!rc && (id < l.first || id - l.first >= l.n || out->end > c.text_len))
		rc = store_corrupt(v->tx.s, "chunk %llu lies outside its content", (unsigned long long)id);
	return rc;
}

int store_content_range(struct store_range *out, struct store_snap *v, uint64_t content)
{
	struct layout l;
	int rc = layout_get(&l, &v->tx, v->tx.st.generation, content);

	if (rc == RAG_ENOENT)
		return err_set(RAG_ENOENT, "no content %llu", (unsigned long long)content);
	if (rc)
		return rc;
	out->first = l.first;
	out->end = l.first + l.n;
	return RAG_OK;
}

int store_chunks(struct store_snap *v, uint64_t content, store_chunk_fn *fn, void *arg)
{
	struct store_range r;
	struct store_chunk chunk;
	MDB_cursor *c;
	uint8_t from[12];
	MDB_val key = { sizeof(from), from }, val;
	int rc = store_content_range(&r, v, content);

	if (!rc)
		rc = tx_cursor(&c, &v->tx, DB_CHUNK);
	if (rc)
		return rc;
	key_gen64(from, v->tx.st.generation, r.first);
	for (uint64_t id = r.first; id < r.end; id++) {
		rc = tx_seek(&key, &val, &v->tx, c, id == r.first ? MDB_SET_RANGE : MDB_NEXT);
		if (rc == RAG_ENOENT || (!rc && (key.mv_size != 12 ||
		    codec_unkey32(key.mv_data) != v->tx.st.generation ||
		    codec_unkey64((const uint8_t *)key.mv_data + 4) != id)))
			rc = store_corrupt(v->tx.s, "chunk %llu is missing", (unsigned long long)id);
		if (!rc)
			rc = chunk_decode(&chunk, v->tx.s, id, &val);
		if (!rc)
			rc = fn(arg, &chunk);
		if (rc)
			break;
	}
	mdb_cursor_close(c);
	return rc;
}

int store_marks(struct store_snap *v, uint64_t content, store_mark_fn *fn, void *arg)
{
	struct content c;
	struct store_mark m;
	struct codec_in in = { NULL, NULL, false };
	uint8_t key[12];
	MDB_val val;
	size_t n;
	int rc = visible(&c, v, content);

	for (uint32_t i = 0; !rc && i < c.mark_pieces; i++) {
		key_64_32(key, content, i);
		rc = tx_get(&val, &v->tx, DB_MARK, key, sizeof(key));
		if (rc == RAG_ENOENT)
			return store_corrupt(v->tx.s, "content %llu has lost marks", (unsigned long long)content);
		if (!rc)
			rc = piece_open(&in.p, &n, v->tx.s, content, "map", &val);
		if (rc)
			return rc;
		in.end = in.p + n;
		while (!rc && in.p < in.end) {
			if (!mark_decode(&m, &in))
				return store_corrupt(v->tx.s, "content %llu has a malformed mark",
						     (unsigned long long)content);
			rc = fn(arg, &m);
		}
	}
	return rc;
}

struct place {
	uint64_t at;
	uint32_t page, line;
};

static int place_mark(void *arg, const struct store_mark *m)
{
	struct place *p = arg;

	if (m->at > p->at)
		return 1;
	if (m->kind == STORE_PAGE)
		p->page = m->value;
	else if (m->kind == STORE_LINE)
		p->line = m->value;
	return 0;
}

int store_place(uint32_t *page, uint32_t *line, struct store_snap *v, uint64_t content, uint64_t at)
{
	struct place p = { at, 0, 0 };
	int rc = store_marks(v, content, place_mark, &p);

	*page = p.page;
	*line = p.line;
	return rc > 0 ? RAG_OK : rc;
}

/* ---- generation, vectors, status ---------------------------------------------------------- */

int store_generation(struct store_generation *out, struct store_snap *v)
{
	return gen_get(out, &v->tx, v->tx.st.generation);
}

int store_lacking(uint64_t *ids, size_t *n, struct store_snap *v, size_t max)
{
	struct layout l;
	MDB_cursor *c;
	uint8_t from[12];
	MDB_val key = { sizeof(from), from }, val;
	int rc = tx_cursor(&c, &v->tx, DB_LACK);

	*n = 0;
	if (rc)
		return rc;
	key_gen64(from, v->tx.st.generation, 0);
	rc = tx_seek(&key, &val, &v->tx, c, MDB_SET_RANGE);
	while (!rc && *n < max && key.mv_size == 12 && codec_unkey32(key.mv_data) == v->tx.st.generation) {
		if (val.mv_size != 8)
			rc = store_corrupt(v->tx.s, "an entry of what lacks vectors has %zu bytes", val.mv_size);
		if (!rc)
			rc = layout_get(&l, &v->tx, v->tx.st.generation, codec_get64(val.mv_data));
		if (rc == RAG_ENOENT)
			rc = store_corrupt(v->tx.s, "what lacks vectors is not there");
		for (uint64_t i = l.n_vec; !rc && i < l.n && *n < max; i++)
			ids[(*n)++] = l.first + i;
		if (!rc) {
			rc = tx_seek(&key, &val, &v->tx, c, MDB_NEXT);
			if (rc == RAG_ENOENT)
				break;
		}
	}
	if (rc == RAG_ENOENT)
		rc = RAG_OK;
	mdb_cursor_close(c);
	return rc;
}

int store_status(struct store_status *out, struct store *s)
{
	struct store_snap *v;
	struct store_generation g;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = store_snap(&v, s);
	if (rc)
		return rc;
	rc = store_generation(&g, v);
	if (!rc) {
		const struct store_state *st = &v->tx.st;

		out->documents = st->documents;
		out->contents = st->contents;
		out->chunks = st->chunks;
		out->text_bytes = st->text_bytes;
		out->vectors = st->vectors;
		out->format = st->format;
		out->generation = st->generation;
		out->dim = g.dim;
		memcpy(out->uuid, st->uuid, sizeof(out->uuid));
		out->disk_bytes = store_disk_bytes(s);
		out->embedder = mem_strdup(g.embedder);
		rc = out->embedder ? store_weight(&out->weight, v) : RAG_ENOMEM;
		if (!rc)
			rc = store_words(&out->words, v);
		if (rc == RAG_ENOENT)
			rc = RAG_OK;
	}
	store_snap_end(v);
	if (rc)
		store_status_release(out);
	return rc;
}

void store_status_release(struct store_status *st)
{
	mem_free(st->embedder);
	st->embedder = NULL;
}
