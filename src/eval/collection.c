#include "config.h"
#include "src/eval/collection.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/conf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/embed.h"
#include "src/eval/cut.h"

#define SLICE 512	/* documents of one call: what is cut waits in memory */

struct doc {			/* that the store has */
	uint64_t store;		/* its number there */
	uint64_t tie;
	char *id;		/* owned: the set's, or the URI of the store's own */
	char *uri;		/* owned */
	long judged;		/* -1: not judged */
	uint8_t same[HASH_LEN];	/* equal for documents of the same content */
	size_t next;		/* of the ring of those */
};

struct collection {
	const struct judged *j;
	struct collection_opts o;
	struct rag *rag;
	char *path;		/* owned */
	bool temporary, own;
	struct doc *docs;	/* owned (n) by number in the store */
	size_t n, cap;
	size_t *of;		/* owned (judged_n_docs): index into docs, SIZE_MAX: not there */
	size_t n_empty;
	size_t done, total;	/* documents of the ingest */
	size_t slice;
};

/* ---- what the store has ------------------------------------------------------------ */

static int add_doc(void *arg, const struct rag_document *d)
{
	struct collection *c = arg;
	struct hash_state h;
	struct doc *n;

	if (c->n == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 256;
		struct doc *more = mem_realloc(c->docs, cap, sizeof(*more));

		if (!more)
			return RAG_ENOMEM;
		c->docs = more;
		c->cap = cap;
	}
	n = &c->docs[c->n];
	*n = (struct doc){ .store = d->doc, .judged = -1, .next = c->n };
	n->uri = mem_strdup(d->uri);
	if (!n->uri)
		return RAG_ENOMEM;
	c->n++;
	hash_begin(&h);
	hash_add(&h, d->hash, strlen(d->hash));
	hash_add(&h, d->title, strlen(d->title));
	hash_end(n->same, &h);
	return RAG_OK;
}

static int same_cmp(const void *a, const void *b, void *arg)
{
	const struct doc *docs = arg;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	int order = memcmp(docs[x].same, docs[y].same, HASH_LEN);

	return order ? order : (x > y) - (x < y);
}

static int link_same(struct collection *c)
{
	size_t *order = mem_calloc(c->n, sizeof(*order)), end;

	if (!order)
		return RAG_ENOMEM;
	for (size_t i = 0; i < c->n; i++)
		order[i] = i;
	qsort_r(order, c->n, sizeof(*order), same_cmp, c->docs);
	for (size_t i = 0; i < c->n; i = end) {
		for (end = i + 1; end < c->n && !memcmp(c->docs[order[i]].same,
							c->docs[order[end]].same, HASH_LEN); end++)
			c->docs[order[end - 1]].next = order[end];
		c->docs[order[end - 1]].next = order[i];
	}
	mem_free(order);
	return RAG_OK;
}

static struct doc *by_number(const struct collection *c, uint64_t store)
{
	size_t lo = 0, hi = c->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->docs[mid].store < store)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < c->n && c->docs[lo].store == store ? &c->docs[lo] : NULL;
}

/* Which document of the store a judged one is, where the store is not ours. */
static int resolve(struct collection *c, size_t judged)
{
	const char *id = judged_doc_at(c->j, judged).id;
	uint64_t *ids;
	struct doc *d;
	size_t n;
	int rc = rag_resolve(&ids, &n, c->rag, id);

	if (rc)
		return rc == RAG_ENOENT ? err_within(rc, "qrels.tsv of '%s'", c->o.set) : rc;
	d = n == 1 ? by_number(c, ids[0]) : NULL;
	if (n != 1)
		rc = err_set(RAG_EINVAL, "qrels.tsv of '%s': '%.200s' names %zu documents", c->o.set, id, n);
	else if (d && d->judged >= 0)
		rc = err_set(RAG_EINVAL, "qrels.tsv of '%s': '%.200s' and '%.200s' are the same document",
			     c->o.set, judged_doc_at(c->j, (size_t)d->judged).id, id);
	else if (d)
		d->judged = (long)judged;
	rag_ids_free(ids);
	return rc;
}

static void forget_docs(struct collection *c)
{
	for (size_t i = 0; i < c->n; i++) {
		mem_free(c->docs[i].uri);
		mem_free(c->docs[i].id);
	}
	c->n = 0;
}

/* Reads what is in the store, and which of it the set's documents are. */
static int look(struct collection *c)
{
	size_t n_judged = judged_n_docs(c->j);
	int rc;

	forget_docs(c);
	rc = rag_documents(c->rag, add_doc, c);
	for (size_t i = 0; !rc && !c->own && i < c->n; i++)
		if (!strncmp(c->docs[i].uri, CUT_URI, strlen(CUT_URI)))
			c->docs[i].judged = judged_find(c->j, c->docs[i].uri + strlen(CUT_URI));
	for (size_t i = 0; !rc && c->own && i < n_judged; i++)
		rc = resolve(c, i);
	if (!rc)
		rc = link_same(c);
	for (size_t i = 0; i < n_judged; i++)
		c->of[i] = SIZE_MAX;
	for (size_t i = 0; !rc && i < c->n; i++) {
		struct doc *d = &c->docs[i];

		d->id = mem_strdup(d->judged < 0 ? d->uri : judged_doc_at(c->j, (size_t)d->judged).id);
		if (!d->id)
			return RAG_ENOMEM;
		d->tie = judged_tie(d->id);
		if (d->judged >= 0)
			c->of[d->judged] = i;
	}
	return rc;
}

/* ---- filling it --------------------------------------------------------------------- */

/* The part of the whole that one call has done: of one stage, so that what is left can be told. */
static int tell(void *arg, const struct rag_progress *p)
{
	struct collection *c = arg;
	struct rag_progress mine = { "ingest", c->o.set, c->done, c->total };

	if (p->total)
		mine.done += (uint64_t)((double)c->slice * (double)p->done / (double)p->total);
	return c->o.progress ? c->o.progress(c->o.progress_arg, &mine) : 0;
}

static void keep_failure(void *arg, const struct rag_ingested *i)
{
	struct buf *why = arg;

	if (i->outcome == RAG_FAILED && !why->len)
		buf_addf(why, "%s: %s", i->uri, i->error ? i->error : "");
}

static int ingest_slice(struct collection *c, const size_t *docs, size_t n)
{
	struct rag_ingest_opts io = RAG_INGEST_OPTS_INIT;
	struct rag_ingest_totals t = { 0 };
	struct buf why = BUF_INIT;
	struct cut_docs *cut = NULL;
	int rc = cut_documents(&cut, c->j, docs, n, c->o.cut, c->o.embed);

	io.ingested = keep_failure;
	io.ingested_arg = &why;
	c->slice = n;
	if (!rc)
		rc = rag_ingest_documents(c->rag, cut_in(cut), n, &io, &t);
	if (!rc && t.failed)
		rc = err_set(RAG_ELIMIT, "'%s': %s", c->o.set, buf_str(&why));
	c->done += n;
	c->slice = 0;
	cut_free(cut);
	buf_release(&why);
	return rc;
}

struct order {
	uint64_t tie;
	size_t doc;
};

static int order_cmp(const void *a, const void *b)
{
	const struct order *x = a, *y = b;

	if (x->tie != y->tie)
		return x->tie < y->tie ? -1 : 1;
	return (x->doc > y->doc) - (x->doc < y->doc);
}

/* What the store lacks, by the hash of their ids. */
static int missing(size_t **out, size_t *n, struct collection *c)
{
	size_t n_docs = judged_n_docs(c->j);
	struct order *order = mem_calloc(n_docs, sizeof(*order));

	*n = 0;
	*out = mem_calloc(n_docs, sizeof(**out));
	if (!order || !*out) {
		mem_free(order);
		return RAG_ENOMEM;
	}
	for (size_t i = 0; i < n_docs; i++) {
		struct judged_doc d = judged_doc_at(c->j, i);

		if (cut_is_empty(&d))
			c->n_empty++;
		else if (c->of[i] == SIZE_MAX)
			order[(*n)++] = (struct order){ judged_tie(d.id), i };
	}
	qsort(order, *n, sizeof(*order), order_cmp);
	for (size_t i = 0; i < *n; i++)
		(*out)[i] = order[i].doc;
	mem_free(order);
	return RAG_OK;
}

static int fill(struct collection *c)
{
	size_t *docs, n;
	int rc = look(c);

	if (rc)
		return rc;
	rc = missing(&docs, &n, c);
	c->total = n;
	for (size_t i = 0; !rc && i < n; i += SLICE)
		rc = ingest_slice(c, docs + i, n - i < SLICE ? n - i : SLICE);
	mem_free(docs);
	if (!rc && n)
		rc = look(c);
	return rc;
}

/* ---- where it is ---------------------------------------------------------------------- */

static int kept_path(struct buf *out, const struct collection *c)
{
	const char *cut = cut_names[c->o.cut];
	char hex[HASH_HEX_LEN];
	uint8_t name[HASH_LEN];
	struct hash_state h;
	int rc;

	hash_begin(&h);
	hash_add(&h, judged_hash(c->j), HASH_LEN);
	hash_add(&h, CUT_VERSION, sizeof(CUT_VERSION));
	hash_add(&h, rag_version(), strlen(rag_version()) + 1);
	hash_add(&h, cut, strlen(cut) + 1);
	if (c->o.embed)
		hash_add(&h, embed_fingerprint(c->o.embed), HASH_LEN);
	hash_end(name, &h);
	hash_hex(hex, name);
	rc = buf_addf(out, "%s/", c->o.keep);
	for (const char *s = c->o.set; !rc && *s; s++)	/* whatever a folder may be called */
		rc = buf_addc(out, *s == '/' ? '_' : *s);
	return rc ? rc : buf_addf(out, "-%s-%.12s", cut, hex);
}

static int temporary_path(struct buf *out)
{
	const char *tmp = conf_env("TMPDIR");
	int rc = buf_addf(out, "%s/ragstone-eval-XXXXXX", tmp ? tmp : "/tmp");

	if (!rc && !mkdtemp(out->data))
		rc = err_set(RAG_EIO, "cannot make '%s': %s", out->data, strerror(errno));
	return rc;
}

static int open_store(struct collection *c)
{
	struct rag_opts ro = RAG_OPTS_INIT;

	ro.store = c->path;
	ro.models = c->o.models;
	ro.threads = c->o.threads;
	ro.progress = tell;
	ro.progress_arg = c;
	if (!c->own) {
		ro.create = 1;
		ro.embedder = c->o.embed ? c->o.model : "";
		ro.precision = c->o.embed ? embed_precision_name(embed_precision(c->o.embed)) : NULL;
	}
	return rag_open(&c->rag, &ro);
}

static int start(struct collection **out, const struct judged *j, const struct collection_opts *o)
{
	struct collection *c = mem_calloc(1, sizeof(*c));

	*out = c;
	if (!c)
		return RAG_ENOMEM;
	c->j = j;
	c->o = *o;
	c->of = mem_calloc(judged_n_docs(j), sizeof(*c->of));
	return c->of ? RAG_OK : RAG_ENOMEM;
}

static int finish(struct collection **out, struct collection *c, int rc)
{
	if (rc) {
		collection_close(c);
		c = NULL;
	}
	*out = c;
	return rc;
}

int collection_open(struct collection **out, const struct judged *j, const struct collection_opts *o)
{
	struct buf path = BUF_INIT;
	struct collection *c;
	int rc = start(&c, j, o);

	if (!rc)
		rc = o->keep ? kept_path(&path, c) : temporary_path(&path);
	if (!rc) {
		c->temporary = !o->keep;
		c->path = mem_strdup(buf_str(&path));
		rc = c->path ? RAG_OK : RAG_ENOMEM;
	}
	buf_release(&path);
	if (!rc)
		rc = file_make_parents(c->path);
	if (!rc)
		rc = open_store(c);
	if (!rc)
		rc = fill(c);
	return finish(out, c, rc);
}

int collection_attach(struct collection **out, const struct judged *j,
		      const struct collection_opts *o)
{
	struct collection *c;
	int rc = start(&c, j, o);

	if (!rc) {
		c->own = true;
		if (o->keep)
			c->path = mem_strdup(o->keep);
		rc = !o->keep || c->path ? open_store(c) : RAG_ENOMEM;
		if (rc == RAG_ENOENT)
			err_within(rc, "'%s' has no corpus.jsonl, its questions are about a store", o->set);
	}
	if (!rc)
		rc = look(c);
	return finish(out, c, rc);
}

/* Without memory of ours: it also runs where there was none left. */
static void remove_store(const char *path)
{
	char file[4096];
	DIR *d = opendir(path);

	for (struct dirent *e; d && (e = readdir(d));)
		if (snprintf(file, sizeof(file), "%s/%s", path, e->d_name) < (int)sizeof(file))
			unlink(file);
	if (d)
		closedir(d);
	rmdir(path);
}

void collection_close(struct collection *c)
{
	if (!c)
		return;
	rag_close(c->rag);
	if (c->temporary && c->path)
		remove_store(c->path);
	forget_docs(c);
	mem_free(c->docs);
	mem_free(c->of);
	mem_free(c->path);
	mem_free(c);
}

struct rag *collection_rag(struct collection *c)
{
	return c->rag;
}

const char *collection_store(const struct collection *c)
{
	return c->path;
}

size_t collection_n_docs(const struct collection *c)
{
	return c->own ? c->n : judged_n_docs(c->j);
}

size_t collection_n_empty(const struct collection *c)
{
	return c->n_empty;
}

const char *collection_uri(const struct collection *c, size_t judged_doc)
{
	return c->of[judged_doc] == SIZE_MAX ? NULL : c->docs[c->of[judged_doc]].uri;
}

long collection_judged(const struct collection *c, const char *uri)
{
	for (size_t i = 0; i < c->n; i++)
		if (!strcmp(c->docs[i].uri, uri))
			return c->docs[i].judged;
	return -1;
}

/* ---- a ranking -------------------------------------------------------------------------- */

/* Moves the last one up among those of its score. */
static void settle(struct ranked *out, size_t last)
{
	struct ranked r = out[last];
	uint64_t tie = judged_tie(r.id);

	for (; last && out[last - 1].score == r.score && judged_tie(out[last - 1].id) > tie; last--)
		out[last] = out[last - 1];
	out[last] = r;
}

size_t collection_rank(struct ranked *out, size_t max, const struct collection *c,
		       const struct rag_hits *h)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n; i++) {
		const struct doc *first = by_number(c, h->hit[i]->doc), *d = first;

		if (!first)	/* it came after we looked */
			continue;
		if (n == max && out[max - 1].score != h->hit[i]->score)
			break;
		do {
			if (n == max && judged_tie(out[max - 1].id) > d->tie)
				n--;
			if (n < max) {
				out[n++] = (struct ranked){ d->id, d->judged, h->hit[i]->score };
				settle(out, n - 1);
			}
			d = &c->docs[d->next];
		} while (d != first);
	}
	return n;
}
