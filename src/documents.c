/* The facade's part about documents: listed, resolved, shown, forgotten. */
#include "config.h"
#include "src/rag_impl.h"

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "index/filter.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct walk {
	rag_document_fn *fn;
	void *arg;
};

static void fill(struct rag_document *out, char hex[HASH_HEX_LEN], const struct store_doc *d)
{
	hash_hex(hex, d->source_hash);
	*out = (struct rag_document){
		.doc = d->id, .uri = d->uri, .title = d->title, .type = d->type,
		.labels = d->labels, .metadata = d->about, .hash = hex, .chunks = d->n_chunks, .bytes = d->text_len,
		.added = d->added, .modified = d->source_mtime / 1000000000,
	};
}

static int visit(void *arg, const struct store_doc *d)
{
	struct rag_document doc;
	char hex[HASH_HEX_LEN];
	struct walk *w = arg;

	fill(&doc, hex, d);
	return w->fn(w->arg, &doc);
}

int rag_documents(struct rag *r, rag_document_fn *fn, void *arg)
{
	struct walk w = { fn, arg };
	struct store_snap *v;
	int rc = rag_need_store(r);

	if (!rc)
		rc = store_snap(&v, r->store);
	if (rc)
		return rc;
	rc = store_docs(v, visit, &w);
	store_snap_end(v);
	return rc;
}

struct ids {
	uint64_t *v;
	size_t n, cap;
	const char *glob;
};

static int ids_add(struct ids *l, uint64_t id)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 16;
		uint64_t *v = mem_realloc(l->v, cap, sizeof(*v));

		if (!v)
			return RAG_ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = id;
	return RAG_OK;
}

static int add_match(void *arg, const struct store_doc *d)
{
	struct ids *l = arg;

	return filter_glob(l->glob, d->uri, true) ? ids_add(l, d->id) : RAG_OK;
}

/* Appends names to a whole path, "." and ".." as the words they are. */
static int add_names(struct buf *path, const char *names)
{
	int rc = RAG_OK;

	while (!rc && *names) {
		size_t n = strcspn(names, "/");
		const char *slash;

		if (n == 2 && !memcmp(names, "..", 2)) {
			slash = memrchr(buf_str(path), '/', path->len);
			if (slash)
				path->data[path->len = (size_t)(slash - path->data)] = 0;
		} else if (n && !(n == 1 && *names == '.')) {
			rc = buf_addc(path, '/');
			if (!rc)
				rc = buf_add(path, names, n);
		}
		names += n;
		names += *names == '/';
	}
	return rc;
}

/* A document outlives its file, and perhaps its folder: the part of the path that
 * is there counts as it really is, the rest as it is written. */
static int uri_of(struct buf *uri, const char *path)
{
	struct buf whole = BUF_INIT;
	char *real = NULL, *head = mem_strdup(path);
	size_t n = strlen(path);
	int rc = head ? file_canonical(&real, path) : RAG_ENOMEM;

	while (rc && rc != RAG_ENOMEM && n) {
		while (n && path[n - 1] == '/')
			n--;
		while (n && path[n - 1] != '/')
			n--;
		head[n] = 0;
		rc = file_canonical(&real, n ? head : ".");
	}
	if (!rc)
		rc = buf_adds(&whole, strcmp(real, "/") ? real : "");
	if (!rc)
		rc = add_names(&whole, path + n);
	if (!rc)
		rc = file_uri(uri, buf_str(&whole));
	buf_release(&whole);
	mem_free(real);
	mem_free(head);
	return rc;
}

/* An id, then a URI, then a path, then a glob: the first that fits. */
static int resolve(struct ids *l, struct store_snap *v, const char *doc)
{
	struct buf uri = BUF_INIT;
	struct store_doc d;
	char *end;
	uint64_t id = strtoull(doc, &end, 10);
	int rc = RAG_ENOENT;

	if (*doc >= '0' && *doc <= '9' && !*end)
		rc = store_doc(&d, v, id);
	if (rc == RAG_ENOENT && *doc && strlen(doc) <= STORE_URI_MAX)
		rc = store_doc_by_uri(&d, v, doc);
	if (rc == RAG_ENOENT && *doc && strlen(doc) < PATH_MAX) {
		rc = uri_of(&uri, doc);
		if (!rc)
			rc = store_doc_by_uri(&d, v, buf_str(&uri));
		else if (rc != RAG_ENOMEM)
			rc = RAG_ENOENT;	/* then it is no path */
	}
	buf_release(&uri);
	if (!rc)
		return ids_add(l, d.id);
	if (rc == RAG_ENOENT && strpbrk(doc, "*?[")) {
		l->glob = doc;
		rc = store_docs(v, add_match, l);
	}
	if ((!rc && !l->n) || rc == RAG_ENOENT)
		rc = err_set(RAG_ENOENT, "no document '%s'", doc);
	return rc;
}

int rag_resolve(uint64_t **ids, size_t *n, struct rag *r, const char *doc)
{
	struct ids l = { 0 };
	struct store_snap *v;
	int rc = rag_need_store(r);

	*ids = NULL;
	*n = 0;
	if (!rc)
		rc = store_snap(&v, r->store);
	if (rc)
		return rc;
	rc = resolve(&l, v, doc);
	store_snap_end(v);
	if (rc) {
		mem_free(l.v);
		return rc;
	}
	*ids = l.v;
	*n = l.n;
	return RAG_OK;
}

void rag_ids_free(uint64_t *ids)
{
	mem_free(ids);
}

struct document_box {
	struct rag_document pub;	/* first: what the caller holds */
	char hex[HASH_HEX_LEN];
	char *uri, *title, *type, *labels, *metadata;
};

int rag_document(struct rag_document **out, struct rag *r, uint64_t doc)
{
	struct document_box *b;
	struct store_snap *v;
	struct store_doc d;
	int rc = rag_need_store(r);

	*out = NULL;
	if (!rc)
		rc = store_snap(&v, r->store);
	if (rc)
		return rc;
	b = mem_calloc(1, sizeof(*b));
	rc = b ? store_doc(&d, v, doc) : RAG_ENOMEM;
	if (!rc) {
		fill(&b->pub, b->hex, &d);
		b->pub.uri = b->uri = mem_strdup(d.uri);
		b->pub.title = b->title = mem_strdup(d.title);
		b->pub.type = b->type = mem_strdup(d.type);
		b->pub.labels = b->labels = mem_strdup(d.labels);
		b->pub.metadata = b->metadata = mem_strdup(d.about);
		if (!b->uri || !b->title || !b->type || !b->labels || !b->metadata)
			rc = RAG_ENOMEM;
	}
	store_snap_end(v);
	if (rc) {
		rag_document_free(b ? &b->pub : NULL);
		return rc;
	}
	*out = &b->pub;
	return RAG_OK;
}

void rag_document_free(struct rag_document *d)
{
	struct document_box *b = (struct document_box *)d;

	if (!b)
		return;
	mem_free(b->uri);
	mem_free(b->title);
	mem_free(b->type);
	mem_free(b->labels);
	mem_free(b->metadata);
	mem_free(b);
}

int rag_document_text(char **text, size_t *len, struct rag *r, uint64_t doc)
{
	struct buf b = BUF_INIT;
	struct store_snap *v;
	struct store_doc d;
	int rc = rag_need_store(r);

	*text = NULL;
	if (len)
		*len = 0;
	if (!rc)
		rc = store_snap(&v, r->store);
	if (rc)
		return rc;
	rc = store_doc(&d, v, doc);
	if (!rc)
		rc = store_text(&b, v, d.content, 0, d.text_len);
	store_snap_end(v);
	if (rc) {
		buf_release(&b);
		return rc;
	}
	if (len)
		*len = b.len;
	*text = buf_detach(&b);
	return *text ? RAG_OK : RAG_ENOMEM;
}

void rag_text_free(char *text)
{
	mem_free(text);
}

int rag_forget(struct rag *r, const uint64_t *docs, size_t n)
{
	struct store_writer *w;
	int rc = rag_need_writable(r);

	if (!rc)
		rc = store_write_begin(&w, r->store);
	if (rc)
		return rc;
	rc = store_forget(w, docs, n);
	store_write_end(w);
	return rc;
}
