#include "config.h"
#include "src/cli/cli.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct args {
	const char *embedder, *precision, *labels, *type, *uri;
	struct str_list include, exclude;
	int dry_run, force, allow_private, keep_missing, verbose;
	uint64_t max_bytes;
};

static const struct opt opts[] = {
	{ 'n', "dry-run", NULL, OPT_FLAG, offsetof(struct args, dry_run),
	  "say what would be done, do nothing" },
	{ 'f', "force", NULL, OPT_FLAG, offsetof(struct args, force),
	  "again, although the bytes are the same" },
	{ 'v', "verbose", NULL, OPT_FLAG, offsetof(struct args, verbose),
	  "a line for every document" },
	{ 0, "include", "GLOB", OPT_LIST, offsetof(struct args, include),
	  "only files that match (may be given again)" },
	{ 0, "exclude", "GLOB", OPT_LIST, offsetof(struct args, exclude),
	  "no files that match (may be given again)" },
	{ 0, "label", "K=V,...", OPT_STR, offsetof(struct args, labels),
	  "kept with each document, for --filter" },
	{ 0, "uri", "URI", OPT_STR, offsetof(struct args, uri),
	  "what to call the document on standard input (stdin:HASH)" },
	{ 0, "type", "TYPE", OPT_STR, offsetof(struct args, type),
	  "its kind: text/plain, text/markdown, text/html, application/pdf" },
	{ 0, "keep-missing", NULL, OPT_FLAG, offsetof(struct args, keep_missing),
	  "keep documents whose file is gone from a folder" },
	{ 0, "allow-private", NULL, OPT_FLAG, offsetof(struct args, allow_private),
	  "URLs may lead to private and loopback addresses" },
	{ 0, "max-bytes", "N", OPT_U64, offsetof(struct args, max_bytes),
	  "largest source (256M)" },
	{ 0, "embedder", "MODEL", OPT_STR, offsetof(struct args, embedder),
	  "for a new store: the model that embeds" },
	{ 0, "precision", "NAME", OPT_STR, offsetof(struct args, precision),
	  "for a new store: how it computes, int8 or f32 (int8)" },
};

struct report {
	struct cli *c;
	const struct args *args;
};

static const char *outcome_name(enum rag_outcome o)
{
	static const char *const names[] = {
		"", "added", "replaced", "unchanged", "skipped", "failed", "removed",
	};

	return names[o];
}

static void report_json(const struct rag_ingested *i)
{
	struct buf b = BUF_INIT;

	buf_addc(&b, '{');
	json_add_key(&b, "outcome");
	json_add_str(&b, outcome_name(i->outcome), strlen(outcome_name(i->outcome)));
	json_add_key(&b, "uri");
	json_add_str(&b, i->uri, strlen(i->uri));
	if (i->doc) {
		json_add_key(&b, "doc");
		buf_addf(&b, "%llu", (unsigned long long)i->doc);
	}
	json_add_key(&b, "chunks");
	buf_addf(&b, "%llu", (unsigned long long)i->chunks);
	json_add_key(&b, "bytes");
	buf_addf(&b, "%llu", (unsigned long long)i->bytes);
	if (i->error) {
		json_add_key(&b, "error");
		json_add_str(&b, i->error, strlen(i->error));
	}
	if (i->warning) {
		json_add_key(&b, "warning");
		json_add_str(&b, i->warning, strlen(i->warning));
	}
	buf_addc(&b, '}');
	puts(buf_str(&b));
	buf_release(&b);
}

static void report(void *arg, const struct rag_ingested *i)
{
	struct report *rep = arg;
	struct cli *c = rep->c;

	cli_bar_clear();
	if (c->json)
		report_json(i);
	if (i->outcome == RAG_FAILED)
		cli_say("failed: %s: %s", i->uri, i->error);
	else if (i->warning && !c->quiet)
		cli_say("warning: %s: %s", i->uri, i->warning);
	if (rep->args->verbose && !c->json && i->outcome != RAG_FAILED) {
		fprintf(stderr, "%-9s ", outcome_name(i->outcome));
		cli_err_text(i->uri);
		fputs(i->error ? ": " : "", stderr);
		cli_err_text(i->error ? i->error : "");
		fputc('\n', stderr);
	}
}

static void summary(const struct rag_ingest_totals *t, double seconds, bool dry)
{
	struct { uint64_t n; const char *what; } part[] = {
		{ t->added, "added" }, { t->replaced, "replaced" },
		{ t->unchanged, "unchanged" }, { t->removed, "removed" },
		{ t->skipped, "skipped" }, { t->failed, "failed" },
	};
	char bytes[16];
	bool any = false;

	cli_bar_clear();
	if (dry)
		fprintf(stderr, "would be ");
	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		if (!part[i].n)
			continue;
		fprintf(stderr, "%s%llu %s", any ? ", " : "", (unsigned long long)part[i].n,
			part[i].what);
		any = true;
	}
	if (!any)
		fprintf(stderr, "nothing to do");
	if (t->chunks)
		fprintf(stderr, ": %llu chunks from %s of text", (unsigned long long)t->chunks,
			cli_bytes(bytes, t->bytes));
	fprintf(stderr, " in %.1f s\n", seconds);
}

/* Words are kept without an embedder, but search will not find them. */
static void warn_unfound(struct rag *r)
{
	struct rag_status *s;

	if (rag_status(&s, r))
		return;
	if (s->vectors < s->chunks)
		fprintf(stderr, "ragstone: warning: %llu chunks have no vectors and are not found yet: no "
			"embedder is at hand; 'ragstone model pull all-minilm-l6-v2', then ingest again\n",
			(unsigned long long)(s->chunks - s->vectors));
	rag_status_free(s);
}

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	const struct args *a = v;
	struct rag_opts o = cli_rag_opts(c);
	struct rag_ingest_opts io = RAG_INGEST_OPTS_INIT;
	struct rag_ingest_totals t = { 0 }, t2 = { 0 };
	struct report rep = { c, a };
	struct timespec begin, end;
	struct buf in = BUF_INIT;
	struct rag *r;
	int code, rc = RAG_OK, n_files = 0;
	bool from_stdin = false;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "-") && (a->uri || a->type))
			from_stdin = true;
		else
			argv[n_files++] = argv[i];
	}
	if ((a->uri || a->type) && !from_stdin)
		return cli_usage("--uri and --type are for '-', standard input");
	o.create = 1;
	o.embedder = a->embedder;
	o.precision = a->precision;
	code = cli_open(&r, c, &o);
	if (code)
		return code;
	io.include = a->include.n ? a->include.s : NULL;
	io.exclude = a->exclude.n ? a->exclude.s : NULL;
	io.force = a->force;
	io.dry_run = a->dry_run;
	io.allow_private = a->allow_private;
	io.keep_missing = a->keep_missing;
	io.max_bytes = a->max_bytes;
	io.labels = a->labels;
	io.ingested = report;
	io.ingested_arg = &rep;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	if (from_stdin) {
		in.max = a->max_bytes ? a->max_bytes : (size_t)256 << 20;
		code = cli_read(&in, "-");
		if (!code)
			rc = rag_ingest_bytes(r, a->uri ? a->uri : "stdin:", in.data, in.len,
					      a->type, &io, &t2);
		buf_release(&in);
	}
	if (!code && !rc && n_files)
		rc = rag_ingest(r, (const char *const *)argv, (size_t)n_files, &io, &t);
	t.added += t2.added;
	t.replaced += t2.replaced;
	t.unchanged += t2.unchanged;
	t.skipped += t2.skipped;
	t.failed += t2.failed;
	t.chunks += t2.chunks;
	t.bytes += t2.bytes;
	clock_gettime(CLOCK_MONOTONIC, &end);
	if (!code && (!rc || (rc == RAG_ECANCEL && t.added + t.replaced + t.removed)) && !c->quiet)
		summary(&t, (double)(end.tv_sec - begin.tv_sec) +
			(double)(end.tv_nsec - begin.tv_nsec) * 1e-9, a->dry_run);
	if (!code && rc)
		code = cli_fail(rc);
	else if (!code && t.failed)
		code = CLI_NOTHING;
	if (!rc && !c->quiet && !a->dry_run)
		warn_unfound(r);
	cli_watch_interrupt(NULL);
	rag_close(r);
	return code;
}

const struct command cmd_ingest = {
	"ingest", "PATH|URL|-...", "put documents into the store",
	"Files, folders (with all below them) and http(s) URLs; - is standard input.  Plain\n"
	"text, Markdown, HTML and PDF.  What has not changed since the last time costs nothing;\n"
	"what has changed replaces its former self; what is gone from a folder is removed.\n"
	"Hidden files and what .gitignore or .ragstoneignore name are left out.  A file that\n"
	"can't be read is reported and never stops the others; the exit code is then 1.",
	opts, N_OPTS(opts), sizeof(struct args), 1, -1, run,
};
