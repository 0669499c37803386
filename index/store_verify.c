#include "config.h"
#include "index/store.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/kern.h"
#include "index/store_check.h"

int check_fault(struct check *c, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	c->faults++;
	if (c->report)
		c->report(c->arg, line);
	return RAG_OK;
}

int check_survive(struct check *c, int rc, const char *what, uint64_t id)
{
	if (rc == RAG_ENOENT)
		return check_fault(c, "%s %llu is missing", what, (unsigned long long)id);
	if (rc == RAG_ECORRUPT)
		return check_fault(c, "%s", err_msg());
	return rc;
}

int check_each(struct check *c, enum store_db db, size_t key_len, const char *what, pair_fn *fn)
{
	MDB_cursor *cur;
	MDB_val key, val;
	int rc = tx_cursor(&cur, &c->v->tx, db);

	if (rc)
		return rc;
	rc = tx_seek(&key, &val, &c->v->tx, cur, MDB_FIRST);
	while (!rc) {
		if (key.mv_size != key_len)
			rc = check_fault(c, "%s has a key of %zu bytes", what, key.mv_size);
		else
			rc = fn(c, &key, &val);
		if (!rc)
			rc = tx_seek(&key, &val, &c->v->tx, cur, MDB_NEXT);
		else
			break;
	}
	mdb_cursor_close(cur);
	return rc == RAG_ENOENT ? RAG_OK : check_survive(c, rc, what, 0);
}

static uint64_t id_of(const MDB_val *key, size_t at)
{
	return codec_unkey64((const uint8_t *)key->mv_data + at);
}

/* ---- documents -------------------------------------------------------------------- */

static int check_doc(struct check *c, const MDB_val *key, const MDB_val *val)
{
	struct tx *t = &c->v->tx;
	struct store_doc d;
	struct content co;
	uint64_t id = id_of(key, 0), named = 0;
	uint8_t owner[16];
	MDB_val v;
	int rc = doc_decode(&d, t->s, id, val);

	c->found.documents++;
	if (rc)
		return check_survive(c, rc, "document", id);
	if (!id || id >= t->st.next_doc)
		check_fault(c, "document %llu has an id that was never given", (unsigned long long)id);
	if (!d.uri_len || d.uri_len > STORE_URI_MAX || strlen(d.uri) != d.uri_len)
		check_fault(c, "document %llu has a URI of %zu bytes", (unsigned long long)id, d.uri_len);
	rc = uri_doc(&named, t, d.uri, d.uri_len);
	if (!rc && named != id)
		check_fault(c, "the URI of document %llu names document %llu", (unsigned long long)id,
		      (unsigned long long)named);
	rc = rc ? check_survive(c, rc, "the entry for the URI of document", id) : rc;
	if (!rc) {
		key_64_64(owner, d.content, id);
		rc = tx_get(&v, t, DB_OWNER, owner, sizeof(owner));
		rc = rc ? check_survive(c, rc, "the owner's entry of document", id) : rc;
	}
	if (!rc) {
		rc = content_get(&co, t, d.content);
		if (!rc && strcmp(co.type, d.type))
			check_fault(c, "document %llu has another type than its content", (unsigned long long)id);
		rc = rc ? check_survive(c, rc, "content", d.content) : rc;
	}
	return rc;
}

static int check_uri(struct check *c, const MDB_val *key, const MDB_val *val)
{
	struct tx *t = &c->v->tx;
	struct store_doc d;
	uint8_t doc[8], hash[HASH_LEN];
	MDB_val v;
	uint64_t id;
	int rc;

	if (val->mv_size != 8)
		return check_fault(c, "a URI's entry has %zu bytes", val->mv_size);
	id = codec_get64(val->mv_data);
	codec_key64(doc, id);
	rc = tx_get(&v, t, DB_DOC, doc, sizeof(doc));
	if (!rc)
		rc = doc_decode(&d, t->s, id, &v);
	if (rc)
		return check_survive(c, rc, "a URI's document", id);
	hash_bytes(hash, d.uri, d.uri_len);
	if (memcmp(hash, key->mv_data, HASH_LEN))
		check_fault(c, "a URI's entry names document %llu, which has another", (unsigned long long)id);
	return RAG_OK;
}

static int check_owner(struct check *c, const MDB_val *key, const MDB_val *val)
{
	struct tx *t = &c->v->tx;
	struct store_doc d;
	uint64_t content = id_of(key, 0), doc = id_of(key, 8);
	MDB_val v;
	uint8_t k[8];
	int rc;

	if (val->mv_size)
		check_fault(c, "an owner's entry has %zu bytes", val->mv_size);
	codec_key64(k, doc);
	rc = tx_get(&v, t, DB_DOC, k, sizeof(k));
	if (!rc)
		rc = doc_decode(&d, t->s, doc, &v);
	if (rc)
		return check_survive(c, rc, "the owning document", doc);
	if (d.content != content)
		check_fault(c, "document %llu owns content %llu, but points to %llu", (unsigned long long)doc,
		      (unsigned long long)content, (unsigned long long)d.content);
	return RAG_OK;
}

/* ---- contents -------------------------------------------------------------------- */

static int span_add(struct check *c, struct span s)
{
	if (c->n_spans == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 256;
		struct span *p = mem_realloc(c->span, cap, sizeof(*p));

		if (!p)
			return RAG_ENOMEM;
		c->span = p;
		c->cap = cap;
	}
	c->span[c->n_spans++] = s;
	return RAG_OK;
}

struct marks_check {
	struct check *c;
	uint64_t content, at, text_len;
};

static int check_mark(void *arg, const struct store_mark *m)
{
	struct marks_check *k = arg;

	if (m->at < k->at || m->at > k->text_len)
		check_fault(k->c, "content %llu has a mark out of order", (unsigned long long)k->content);
	k->at = m->at;
	return RAG_OK;
}

/* Hash and length of all pieces of a content's text or marks. */
static int pieces_hash(uint8_t out[HASH_LEN], uint64_t *len, struct check *c, enum store_db db, uint64_t id,
		       uint32_t n_pieces)
{
	struct hash_state h;
	const uint8_t *p;
	uint8_t key[12];
	size_t n = 0;
	MDB_val v;

	*len = 0;
	hash_begin(&h);
	for (uint32_t i = 0; i < n_pieces; i++) {
		int rc;

		key_64_32(key, id, i);
		rc = tx_get(&v, &c->v->tx, db, key, sizeof(key));
		if (!rc)
			rc = piece_open(&p, &n, c->v->tx.s, id, db == DB_TEXT ? "text" : "map", &v);
		if (rc)
			return rc;
		if (db == DB_TEXT && i + 1 < n_pieces && n != STORE_PIECE)
			check_fault(c, "content %llu has a short piece of text", (unsigned long long)id);
		*len += n;
		hash_add(&h, p, n);
	}
	hash_end(out, &h);
	return RAG_OK;
}

struct chunks_check {
	struct check *c;
	uint64_t content, start, text_len;
	struct hash_state hash;
};

static int check_chunk(void *arg, const struct store_chunk *ch)
{
	struct chunks_check *k = arg;

	if (ch->content != k->content || ch->end > k->text_len || ch->start < k->start)
		check_fault(k->c, "chunk %llu lies outside its content", (unsigned long long)ch->id);
	k->start = ch->start;
	chunk_hash_add(&k->hash, ch->start, ch->end, ch->page, ch->heading, ch->heading_len);
	return RAG_OK;
}

/* Everything a content consists of, up to its name. */
static int content_whole(struct check *c, uint64_t id, const struct content *co, struct span *span)
{
	struct marks_check marks = { .c = c, .content = id, .text_len = co->text_len };
	struct chunks_check chunks = { .c = c, .content = id, .text_len = co->text_len };
	uint8_t text[HASH_LEN], map[HASH_LEN], chunk[HASH_LEN], name[HASH_LEN];
	uint64_t len;
	struct layout l;
	int rc = layout_get(&l, &c->v->tx, c->v->tx.st.generation, id);

	if (rc)
		return rc;
	*span = (struct span){ l.first, l.n, l.n_vec, id, false };
	c->found.chunks += l.n;
	c->found.vectors += l.n_vec;
	hash_begin(&chunks.hash);
	rc = pieces_hash(text, &len, c, DB_TEXT, id, co->text_pieces);
	if (!rc && len != co->text_len)
		check_fault(c, "content %llu has %llu bytes of text, not %llu", (unsigned long long)id,
		      (unsigned long long)len, (unsigned long long)co->text_len);
	if (!rc)
		rc = pieces_hash(map, &len, c, DB_MARK, id, co->mark_pieces);
	if (!rc)
		rc = store_marks(c->v, id, check_mark, &marks);
	if (!rc)
		rc = store_chunks(c->v, id, check_chunk, &chunks);
	if (rc)
		return rc;
	hash_end(chunk, &chunks.hash);
	content_name(name, co->type, co->context, text, map, chunk);
	if (memcmp(name, co->hash, HASH_LEN))
		check_fault(c, "content %llu does not have the hash that it is named by", (unsigned long long)id);
	return RAG_OK;
}

static int check_content(struct check *c, const MDB_val *key, const MDB_val *val)
{
	struct tx *t = &c->v->tx;
	struct content co;
	struct span span = { 0 };
	uint64_t id = id_of(key, 0), doc;
	uint8_t k[8];
	MDB_val v;
	int rc = content_decode(&co, t->s, id, val);

	c->found.contents++;
	if (rc)
		return check_survive(c, rc, "content", id);
	c->found.text_bytes += co.text_len;
	if (!id || id >= t->st.next_content)
		check_fault(c, "content %llu has an id that was never given", (unsigned long long)id);
	rc = tx_get(&v, t, DB_HASH, co.hash, HASH_LEN);
	if (!rc && (v.mv_size != 8 || codec_get64(v.mv_data) != id))
		check_fault(c, "the hash of content %llu names another", (unsigned long long)id);
	rc = rc ? check_survive(c, rc, "the hash of content", id) : rc;
	if (!rc) {
		rc = owner_first(&doc, t, id);
		rc = rc ? check_survive(c, rc, "the owner of content", id) : rc;
	}
	codec_key64(k, id);
	if (!rc) {
		rc = tx_get(&v, t, DB_LIMBO, k, sizeof(k));
		if (!rc)
			check_fault(c, "content %llu is visible and in limbo", (unsigned long long)id);
		rc = rc == RAG_ENOENT ? RAG_OK : rc;
	}
	if (!rc) {
		rc = content_whole(c, id, &co, &span);
		rc = rc ? check_survive(c, rc, "a part of content", id) : rc;
	}
	return rc || !span.n ? rc : span_add(c, span);
}

static int check_limbo(struct check *c, const MDB_val *key, const MDB_val *val)
{
	struct tx *t = &c->v->tx;
	struct limbo l;
	uint64_t id = id_of(key, 0);
	int rc = limbo_decode(&l, t->s, id, val);

	if (rc)
		return check_survive(c, rc, "limbo record", id);
	if (!id || id >= t->st.next_content)
		check_fault(c, "content %llu in limbo has an id that was never given", (unsigned long long)id);
	return l.n ? span_add(c, (struct span){ l.first, l.n, 0, id, true }) : RAG_OK;
}

static int by_first(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

const struct span *check_span(const struct check *c, uint64_t id)
{
	size_t lo = 0, hi = c->n_spans;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->span[mid].first <= id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && id - c->span[lo - 1].first < c->span[lo - 1].n ? &c->span[lo - 1] : NULL;
}

static int check_hash(struct check *c, const MDB_val *key, const MDB_val *val)
{
	struct content co;
	uint64_t id;
	int rc;

	if (val->mv_size != 8)
		return check_fault(c, "a content's entry has %zu bytes", val->mv_size);
	id = codec_get64(val->mv_data);
	rc = content_get(&co, &c->v->tx, id);
	if (rc)
		return check_survive(c, rc, "a hash's content", id);
	if (memcmp(co.hash, key->mv_data, HASH_LEN))
		check_fault(c, "a hash names content %llu, which has another", (unsigned long long)id);
	return RAG_OK;
}

/* Text and marks belong to a content or to limbo. */
static int check_piece(struct check *c, const MDB_val *key, const MDB_val *val)
{
	struct tx *t = &c->v->tx;
	struct content co;
	uint64_t id = id_of(key, 0);
	uint8_t k[8];
	MDB_val v;
	int rc;

	(void)val;
	if (codec_unkey32((const uint8_t *)key->mv_data + 8))
		return RAG_OK;		/* the first piece speaks for all */
	rc = content_get(&co, t, id);
	codec_key64(k, id);
	if (rc == RAG_ENOENT)
		rc = tx_get(&v, t, DB_LIMBO, k, sizeof(k));
	return rc ? check_survive(c, rc, "the owner of text or map", id) : rc;
}

static int check_chunk_key(struct check *c, const MDB_val *key, const MDB_val *val)
{
	struct store_chunk ch;
	const struct span *s;
	uint64_t id = id_of(key, 4);
	int rc = chunk_decode(&ch, c->v->tx.s, id, val);

	if (rc)
		return check_survive(c, rc, "chunk", id);
	s = check_span(c, id);
	if (!s || s->content != ch.content)
		check_fault(c, "chunk %llu belongs to nothing", (unsigned long long)id);
	if (!id || id >= c->v->tx.st.next_chunk)
		check_fault(c, "chunk %llu has an id that was never given", (unsigned long long)id);
	return RAG_OK;
}

static int check_layout(struct check *c, const MDB_val *key, const MDB_val *val)
{
	struct tx *t = &c->v->tx;
	struct layout l;
	struct content co;
	uint64_t id = id_of(key, 4);
	uint8_t k[12];
	MDB_val v;
	int rc = layout_decode(&l, t->s, id, val);

	if (!rc)
		rc = content_get(&co, t, id);
	if (rc)
		return check_survive(c, rc, "a layout's content", id);
	key_gen64(k, codec_unkey32(key->mv_data), l.first);
	rc = tx_get(&v, t, DB_LACK, k, sizeof(k));
	if (rc && rc != RAG_ENOENT)
		return rc;
	if ((l.n_vec < l.n) != (rc == RAG_OK) ||
	    (!rc && (v.mv_size != 8 || codec_get64(v.mv_data) != id)))
		check_fault(c, "content %llu has %llu vectors for %llu chunks, and its entry says otherwise",
		      (unsigned long long)id, (unsigned long long)l.n_vec, (unsigned long long)l.n);
	return RAG_OK;
}

static int check_lack(struct check *c, const MDB_val *key, const MDB_val *val)
{
	struct layout l;
	uint64_t id;
	int rc;

	if (val->mv_size != 8)
		return check_fault(c, "an entry of what lacks vectors has %zu bytes", val->mv_size);
	id = codec_get64(val->mv_data);
	rc = layout_get(&l, &c->v->tx, codec_unkey32(key->mv_data), id);
	if (rc)
		return check_survive(c, rc, "what lacks vectors, content", id);
	if (l.first != id_of(key, 4) || l.n_vec == l.n)
		check_fault(c, "content %llu does not lack vectors", (unsigned long long)id);
	return RAG_OK;
}

/* ---- vectors --------------------------------------------------------------------- */

static int check_row(struct check *c, uint64_t id)
{
	const struct span *s = check_span(c, id);

	if (id >= c->v->tx.st.next_chunk)
		return check_fault(c, "a vector of chunk %llu, which was never given", (unsigned long long)id);
	if (c->seen[id / 8] >> id % 8 & 1)
		check_fault(c, "chunk %llu has two vectors", (unsigned long long)id);
	c->seen[id / 8] |= (uint8_t)(1u << id % 8);
	if (s && !s->limbo && id - s->first >= s->n_vec)
		check_fault(c, "chunk %llu has a vector that nobody knows of", (unsigned long long)id);
	return RAG_OK;
}

static int check_block(struct check *c, const MDB_val *key, const MDB_val *val)
{
	struct store *s = c->v->tx.s;
	struct store_generation g;
	struct store_block b;
	uint64_t no = id_of(key, 4), last = 0;
	float *row;
	int rc = block_decode(&b, s, no, val);

	if (rc)
		return check_survive(c, rc, "vector block", no);
	if (!block_check(val))
		return check_fault(c, "vector block %llu fails its checksum", (unsigned long long)no);
	rc = gen_get(&g, &c->v->tx, codec_unkey32(key->mv_data));
	if (rc)
		return check_survive(c, rc, "generation", codec_unkey32(key->mv_data));
	if (b.dim != g.dim || !no || no >= c->v->tx.st.next_block)
		return check_fault(c, "vector block %llu has %u dimensions, not %u", (unsigned long long)no, b.dim, g.dim);
	row = mem_alloc(b.dim * sizeof(*row));
	if (!row)
		return RAG_ENOMEM;
	for (uint32_t i = 0; !rc && i < b.n; i++) {
		uint64_t id = codec_get64(b.ids + 8 * (size_t)i);
		double sum = 0;

		if (id <= last)
			check_fault(c, "vector block %llu is out of order", (unsigned long long)no);
		last = id;
		kern_get()->f16_to_f32(row, (const uint16_t *)(const void *)(b.rows + (size_t)i * 2 * b.dim), b.dim);
		for (uint32_t j = 0; j < b.dim; j++)
			sum += (double)row[j] * row[j];
		if (!(sum > 0.97 && sum < 1.03))	/* fp16 keeps three digits */
			check_fault(c, "the vector of chunk %llu is not of unit length", (unsigned long long)id);
		rc = check_row(c, id);
	}
	mem_free(row);
	return rc;
}

int check_hidden(struct check *c, const MDB_val *key, const MDB_val *val)
{
	struct hidden h;
	uint64_t first = id_of(key, 4), rows = 0;
	int rc = hidden_decode(&h, c->v->tx.s, first, val);

	if (rc)
		return check_survive(c, rc, "hidden range", first);
	if (h.staged && (!check_span(c, first) || !check_span(c, first)->limbo))
		check_fault(c, "hidden range %llu is of a stage that is none", (unsigned long long)first);
	if (first + h.n > c->v->tx.st.next_chunk)
		return check_fault(c, "hidden range %llu ends beyond what was given", (unsigned long long)first);
	for (uint64_t id = first; id < first + h.n; id++) {
		const struct span *s = check_span(c, id);

		rows += c->seen[id / 8] >> id % 8 & 1;
		if (s && !s->limbo)
			return check_fault(c, "chunk %llu is visible and hidden", (unsigned long long)id);
	}
	if (rows != h.rows)
		check_fault(c, "hidden range %llu has %llu rows, not %llu", (unsigned long long)first,
		      (unsigned long long)rows, (unsigned long long)h.rows);
	c->hidden_rows += rows;
	return RAG_OK;
}

uint64_t check_rows(const struct check *c)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < c->v->tx.st.next_chunk / 8 + 1; i++)
		n += (uint64_t)__builtin_popcount(c->seen[i]);
	return n;
}

static int check_vectors(struct check *c)
{
	uint64_t all;
	int rc = check_each(c, DB_BLOCK, 12, "a vector block", check_block);

	for (size_t i = 0; !rc && i < c->n_spans; i++)
		for (uint64_t j = 0; j < c->span[i].n_vec; j++) {
			uint64_t id = c->span[i].first + j;

			if (id >= c->v->tx.st.next_chunk || !(c->seen[id / 8] >> id % 8 & 1))
				rc = check_fault(c, "chunk %llu has lost its vector", (unsigned long long)id);
		}
	if (!rc)
		rc = check_each(c, DB_HIDDEN, 12, "a hidden range", check_hidden);
	all = check_rows(c);
	if (!rc && all != c->found.vectors + c->hidden_rows)
		check_fault(c, "%llu vectors, but %llu visible and %llu hidden", (unsigned long long)all,
		      (unsigned long long)c->found.vectors, (unsigned long long)c->hidden_rows);
	return rc;
}

/* ---- all of it ------------------------------------------------------------------------ */

static int check_all(struct check *c)
{
	const struct store_state *st = &c->v->tx.st;
	const struct { const char *name; const uint64_t *says, *is; } counters[] = {
		{ "documents", &st->documents, &c->found.documents },
		{ "contents", &st->contents, &c->found.contents },
		{ "chunks", &st->chunks, &c->found.chunks },
		{ "vectors", &st->vectors, &c->found.vectors },
		{ "bytes of text", &st->text_bytes, &c->found.text_bytes },
	};
	struct store_generation g;
	int rc = store_generation(&g, c->v);

	rc = rc ? check_survive(c, rc, "generation", st->generation) : rc;
	if (!rc)
		rc = check_each(c, DB_DOC, 8, "a document", check_doc);
	if (!rc)
		rc = check_each(c, DB_URI, HASH_LEN, "a URI's entry", check_uri);
	if (!rc)
		rc = check_each(c, DB_OWNER, 16, "an owner's entry", check_owner);
	if (!rc)
		rc = check_each(c, DB_HASH, HASH_LEN, "a content's entry", check_hash);
	if (!rc)
		rc = check_each(c, DB_CONTENT, 8, "a content", check_content);
	if (!rc)
		rc = check_each(c, DB_LIMBO, 8, "a limbo record", check_limbo);
	if (rc)
		return rc;
	if (c->n_spans)
		qsort(c->span, c->n_spans, sizeof(*c->span), by_first);
	for (size_t i = 1; i < c->n_spans; i++)
		if (c->span[i].first < c->span[i - 1].first + c->span[i - 1].n)
			check_fault(c, "contents %llu and %llu have chunks in common",
			      (unsigned long long)c->span[i - 1].content, (unsigned long long)c->span[i].content);
	c->seen = mem_calloc(st->next_chunk / 8 + 1, 1);
	if (!c->seen)
		return RAG_ENOMEM;
	rc = check_each(c, DB_TEXT, 12, "a piece of text", check_piece);
	if (!rc)
		rc = check_each(c, DB_MARK, 12, "a piece of a map", check_piece);
	if (!rc)
		rc = check_each(c, DB_CHUNK, 12, "a chunk", check_chunk_key);
	if (!rc)
		rc = check_each(c, DB_LAYOUT, 12, "a layout", check_layout);
	if (!rc)
		rc = check_each(c, DB_LACK, 12, "an entry of what lacks vectors", check_lack);
	if (!rc)
		rc = check_vectors(c);
	if (!rc)
		rc = check_tokens(c);
	if (!rc)
		rc = check_words(c);
	for (size_t i = 0; !rc && i < sizeof(counters) / sizeof(counters[0]); i++)
		if (*counters[i].says != *counters[i].is)
			check_fault(c, "%llu %s counted, %llu found", (unsigned long long)*counters[i].says,
			      counters[i].name, (unsigned long long)*counters[i].is);
	return rc;
}

int store_verify(struct store *s, void (*report)(void *arg, const char *line), void *arg)
{
	struct check c = { .report = report, .arg = arg };
	int rc = store_snap(&c.v, s);

	if (rc == RAG_ECORRUPT) {	/* its state record: nothing else can be judged */
		check_fault(&c, "%s", err_msg());
		return rc;
	}
	if (!rc)
		rc = check_all(&c);
	store_snap_end(c.v);
	mem_free(c.span);
	mem_free(c.seen);
	mem_free(c.print);
	if (!rc && c.faults)
		rc = err_set(RAG_ECORRUPT, "store '%s' has %llu faults", s->dir, (unsigned long long)c.faults);
	return rc;
}
