#include "config.h"

#include "ingest/run.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"

/* Whatever works below tells its own measure; the caller sees that of the run. */
static int tell(void *arg, const struct progress_at *at)
{
	struct run *r = arg;
	const struct progress *p = r->o->progress;
	struct progress_at mine = *at;

	if (!mine.what)
		mine.what = r->what;
	if (strcmp(at->stage, "scan") || r->list.n) {
		mine.done = r->done + (uint64_t)(r->part * (double)r->size);
		mine.total = r->list.bytes > mine.done ? r->list.bytes : mine.done;
	}
	return p && p->fn ? p->fn(p->arg, &mine) : 0;
}

void run_report(struct run *r, const struct ingested *i)
{
	struct ingest_totals *t = r->t;

	switch (i->outcome) {
	case INGEST_ADDED:
	case INGEST_REPLACED:
		++*(i->outcome == INGEST_ADDED ? &t->added : &t->replaced);
		t->chunks += i->chunks;
		t->bytes += i->bytes;
		break;
	case INGEST_UNCHANGED:
		t->unchanged++;
		break;
	case INGEST_SKIPPED:
		t->skipped++;
		break;
	case INGEST_FAILED:
		t->failed++;
		break;
	case INGEST_REMOVED:
		t->removed++;
		break;
	}
	if (r->o->ingested)
		r->o->ingested(r->o->ingested_arg, i);
}

static void report(void *arg, const struct ingested *i)
{
	run_report(arg, i);
}

static void step(void *arg, size_t i, size_t n)
{
	struct run *r = arg;

	r->part = (double)i / (double)n;
}

/* What ends the whole run: all else is one document's failure. */
bool run_fatal(int rc)
{
	return rc == RAG_ENOMEM || rc == RAG_ECANCEL;
}

/* Reports the last message as a document's, unless it ends the run. */
int run_failed(struct run *r, const char *uri, int rc, bool skip)
{
	struct ingested i = { .outcome = skip ? INGEST_SKIPPED : INGEST_FAILED, .uri = uri };
	char *why;

	if (run_fatal(rc))
		return rc;
	why = mem_strdup(err_msg());	/* a callback may set another */
	if (!why)
		return RAG_ENOMEM;
	i.error = why;
	run_report(r, &i);
	mem_free(why);
	return RAG_OK;
}

void job_release(struct job *j)
{
	extract_free(j->extract);
	source_file_release(&j->file);
	mem_free(j->uri);
	mem_free(j->labels);
	memset(j, 0, sizeof(*j));
	j->file.fd = -1;
}

/* What the store knows of a URI.  *same: these very bytes. */
int run_look_up(bool *same, uint64_t *doc, struct run *r, struct job *j)
{
	const char *labels = r->o->labels;
	struct store_snap *v;
	struct store_doc d;
	int rc;

	*same = false;
	*doc = 0;
	if (r->store) {
		rc = store_snap(&v, r->store);
		if (rc)
			return rc;
		rc = store_doc_by_uri(&d, v, j->uri);
		if (!rc) {
			j->known = true;
			*doc = d.id;
			if (!labels)
				labels = d.labels;	/* nothing said: as before */
			*same = !memcmp(d.source_hash, j->hash, HASH_LEN) && !strcmp(labels, d.labels);
		}
		if (labels && (!rc || rc == RAG_ENOENT)) {
			j->labels = mem_strdup(labels);
			rc = j->labels ? RAG_OK : RAG_ENOMEM;
		}
		store_snap_end(v);
		return rc == RAG_ENOENT ? RAG_OK : rc;
	}
	if (labels) {
		j->labels = mem_strdup(labels);
		if (!j->labels)
			return RAG_ENOMEM;
	}
	return RAG_OK;
}

const char *run_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int run_title(char **out, const char *uri)
{
	char *path = NULL;
	const char *base;
	struct buf clean = BUF_INIT;
	int rc = RAG_OK;

	*out = NULL;
	if (!strncmp(uri, "file:", 5) && file_from_uri(&path, uri))
		err_clear();
	base = run_base_name(path ? path : uri);
	if (!*base)
		base = uri;
	rc = utf8_repair(&clean, base, strlen(base), NULL);
	if (!rc) {
		*out = mem_strdup(buf_str(&clean));
		if (!*out)
			rc = RAG_ENOMEM;
	}
	buf_release(&clean);
	mem_free(path);
	return rc;
}

int run_stage_chunks(struct stage *st, const struct chunk *c, size_t n)
{
	struct stage_chunk out[64];
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i < n;) {
		size_t k = 0;

		for (; k < 64 && i < n; k++, i++)
			out[k] = (struct stage_chunk){ c[i].start, c[i].end, c[i].heading, c[i].page, c[i].line };
		rc = stage_chunks(st, out, k);
	}
	return rc;
}

/* The writer's lock, and whose vectors the store holds. */
int run_open(struct run *r, struct ingest_totals *t, struct store *s, struct embed *e,
	     const struct ingest_opts *o)
{
	struct store_generation g;
	struct store_snap *v;
	struct batch_opts bo = { .embed = e, .report = report, .step = step, .arg = r };
	int rc;

	memset(r, 0, sizeof(*r));
	memset(t, 0, sizeof(*t));
	r->store = s;
	r->embed = e;
	r->o = o;
	r->t = t;
	r->progress = (struct progress){ tell, r };
	if (o->dry_run)
		return RAG_OK;
	rc = store_write_begin(&r->writer, s);
	if (!rc && e) {
		rc = store_set_generation(r->writer, CHUNK_NAME, embed_name(e), embed_fingerprint(e), embed_dim(e));
	} else if (!rc) {
		rc = store_snap(&v, s);
		if (rc)
			return rc;
		rc = store_generation(&g, v);
		if (!rc && g.dim == 0)
			rc = 1;
		store_snap_end(v);
		if (rc == 1)
			rc = store_set_generation(r->writer, CHUNK_NAME, NULL, NULL, 0);
	}
	bo.store = r->store;
	bo.writer = r->writer;
	bo.progress = &r->progress;
	return rc ? rc : batch_new(&r->batch, &bo);
}

void run_close(struct run *r)
{
	for (; r->n_jobs; r->n_jobs--) {
		job_release(&r->job[r->first]);
		r->first = (r->first + 1) % RUN_AHEAD;
	}
	batch_free(r->batch);
	store_write_end(r->writer);
	source_list_release(&r->list);
}
