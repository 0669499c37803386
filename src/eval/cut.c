#include "config.h"
#include "src/eval/cut.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "ingest/chunk.h"
#include "model/embed.h"
#include "model/tok.h"

struct cut_docs {
	struct rag_document_in *in;	/* owned (n) */
	char **uris;			/* owned (n) */
	size_t n;
	struct rag_chunk_in *chunks;	/* owned (n_chunks) those of all */
	size_t n_chunks, cap;
	const struct embed *e;
};

const char *const cut_names[] = { "", "windows", "document", "sentences" };

int cut_parse(enum cut *out, const char *name, size_t len)
{
	for (int i = CUT_WINDOWS; i <= CUT_SENTENCES; i++) {
		if (strlen(cut_names[i]) == len && !memcmp(cut_names[i], name, len)) {
			*out = (enum cut)i;
			return RAG_OK;
		}
	}
	return err_set(RAG_EINVAL, "no chunks '%.*s': windows, document or sentences", (int)len, name);
}

static bool blank(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strchr(" \t\r\n", s[i]))	/* NUL too: it is no text */
			return false;
	return true;
}

bool cut_is_empty(const struct judged_doc *d)
{
	return blank(d->title, d->title_len) && blank(d->text, d->text_len);
}

static int add_chunk(struct cut_docs *c, const char *text, size_t len)
{
	if (c->n_chunks == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 64;
		struct rag_chunk_in *more = mem_realloc(c->chunks, cap, sizeof(*more));

		if (!more)
			return RAG_ENOMEM;
		c->chunks = more;
		c->cap = cap;
	}
	c->chunks[c->n_chunks++] = (struct rag_chunk_in){ text, len, NULL };
	return RAG_OK;
}

static int add_windows(struct cut_docs *c, const struct judged_doc *d, const struct tok_ids *t)
{
	size_t max = embed_max_tokens(c->e), most = max < CUT_WHOLE ? max * 3 / 4 : CUT_WINDOW;
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i < t->len; i += most) {
		size_t n = t->len - i < most ? t->len - i : most;

		if (i && n < CUT_LEAST)
			break;
		rc = add_chunk(c, d->text + t->start[i], t->end[i + n - 1] - t->start[i]);
	}
	return rc;
}

static int cut_windows(struct cut_docs *c, const struct judged_doc *d)
{
	const struct tok *tok = embed_tok(c->e);
	size_t max = embed_max_tokens(c->e), from = c->n_chunks;
	struct tok_ids whole = { 0 }, text = { 0 };
	struct buf b = BUF_INIT;
	int rc = buf_addf(&b, "%s%s", d->title, d->title_len ? " " : "");

	if (!rc)
		rc = buf_add(&b, d->text, d->text_len);
	if (!rc)
		rc = tok_encode(&whole, tok, buf_str(&b), b.len, TOK_ADD);
	if (!rc && whole.len > (max < CUT_WHOLE ? max : CUT_WHOLE)) {
		rc = tok_encode(&text, tok, d->text, d->text_len, 0);
		if (!rc)
			rc = add_windows(c, d, &text);
	}
	/* It fits, or is text without any token and behind a long title. */
	if (!rc && c->n_chunks == from)
		rc = add_chunk(c, d->text, d->text_len);
	tok_ids_release(&whole);
	tok_ids_release(&text);
	buf_release(&b);
	return rc;
}

static int cut_sentences(struct cut_docs *c, const struct judged_doc *d)
{
	struct chunk_opts o = { embed_tok(c->e), embed_max_tokens(c->e), d->title, NULL };
	struct chunks chunks = { 0 };
	int rc = chunk_text(&chunks, d->text, d->text_len, NULL, 0, &o);

	for (size_t i = 0; !rc && i < chunks.n; i++)
		rc = add_chunk(c, d->text + chunks.v[i].start, chunks.v[i].end - chunks.v[i].start);
	chunks_release(&chunks);
	return rc;
}

static int cut_one(struct cut_docs *c, size_t i, struct judged_doc d, enum cut cut)
{
	size_t from = c->n_chunks;
	struct buf uri = BUF_INIT;
	int rc = buf_addf(&uri, "%s%s", CUT_URI, d.id);

	c->uris[i] = rc ? NULL : buf_detach(&uri);
	buf_release(&uri);
	if (!c->uris[i])
		return RAG_ENOMEM;
	c->in[i] = (struct rag_document_in){ .uri = c->uris[i], .title = d.title };
	if (blank(d.text, d.text_len)) {	/* the title is all that there is to find */
		c->in[i].title = NULL;
		d.text = d.title;
		d.text_len = d.title_len;
		d.title = "";
		d.title_len = 0;
	}
	if (cut == CUT_DOCUMENT)
		rc = add_chunk(c, d.text, d.text_len);
	else
		rc = cut == CUT_SENTENCES ? cut_sentences(c, &d) : cut_windows(c, &d);
	c->in[i].n = c->n_chunks - from;
	return rc;
}

int cut_documents(struct cut_docs **out, const struct judged *j, const size_t *docs, size_t n,
		  enum cut cut, const struct embed *e)
{
	struct cut_docs *c = mem_calloc(1, sizeof(*c));
	size_t at = 0;
	int rc = RAG_OK;

	*out = NULL;
	if (!c)
		return RAG_ENOMEM;
	c->n = n;
	c->e = e;
	c->in = mem_calloc(n, sizeof(*c->in));
	c->uris = mem_calloc(n, sizeof(*c->uris));
	if (!c->in || !c->uris)
		rc = RAG_ENOMEM;
	for (size_t i = 0; !rc && i < n; i++)
		rc = cut_one(c, i, judged_doc_at(j, docs[i]), cut);
	if (rc) {
		cut_free(c);
		return rc;
	}
	for (size_t i = 0; i < n; at += c->in[i++].n)	/* where the chunks lie is settled now */
		c->in[i].chunks = c->chunks + at;
	*out = c;
	return RAG_OK;
}

const struct rag_document_in *cut_in(const struct cut_docs *c)
{
	return c->in;
}

void cut_free(struct cut_docs *c)
{
	if (!c)
		return;
	for (size_t i = 0; c->uris && i < c->n; i++)
		mem_free(c->uris[i]);
	mem_free(c->uris);
	mem_free(c->in);
	mem_free(c->chunks);
	mem_free(c);
}
