#include "config.h"
#include "src/cli/cli.h"

#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct args {
	size_t k;
	const char *in, *filter, *mode, *expand, *reranker;
	double min_score, weight, diversity;
	size_t per_document;
	int section, merge, explain;
};

static const struct opt opts[] = {
	{ 'k', NULL, "N", OPT_SIZE, offsetof(struct args, k), "hits wanted (10)" },
	{ 0, "in", "GLOB", OPT_STR, offsetof(struct args, in), "only documents whose URI matches" },
	{ 0, "filter", "EXPR", OPT_STR, offsetof(struct args, filter),
	  "only documents with, for instance, 'lang == en && year >= 2020'" },
	{ 0, "min-score", "S", OPT_REAL, offsetof(struct args, min_score),
	  "no hits below this cosine" },
	{ 0, "mode", "MODE", OPT_STR, offsetof(struct args, mode),
	  "hybrid (all there is), fusion, dense, bm25" },
	{ 0, "weight", "W", OPT_REAL, offsetof(struct args, weight),
	  "of meaning against words in the fusion, 0 to 1 (the store's, .65)" },
	{ 0, "per-document", "N", OPT_SIZE, offsetof(struct args, per_document),
	  "at most N hits of one document" },
	{ 0, "reranker", "MODEL", OPT_STR, offsetof(struct args, reranker),
	  "a cross-encoder of yours that orders the best passages" },
	{ 0, "expand", "HOW", OPT_STR, offsetof(struct args, expand),
	  "hyde: look for a made-up answer as well; queries: for other wordings" },
	{ 0, "diversity", "D", OPT_REAL, offsetof(struct args, diversity),
	  "0 to 1: how much a hit loses by resembling those before it (0)" },
	{ 0, "merge", NULL, OPT_FLAG, offsetof(struct args, merge), "neighbouring hits as one" },
	{ 0, "section", NULL, OPT_FLAG, offsetof(struct args, section), "the whole section around each hit" },
	{ 0, "explain", NULL, OPT_FLAG, offsetof(struct args, explain),
	  "why each hit is where it is, and the time of each stage, on stderr" },
};

static void print_json(const struct rag_hit *h, size_t rank)
{
	struct { const char *key, *s; } str[] = {
		{ "uri", h->uri }, { "title", h->title }, { "heading", h->heading },
	};
	struct buf b = BUF_INIT;

	buf_addf(&b, "{\"rank\": %zu, \"doc\": %llu, \"chunk\": %llu", rank,
		 (unsigned long long)h->doc, (unsigned long long)h->chunk);
	for (size_t i = 0; i < 3; i++) {
		json_add_key(&b, str[i].key);
		json_add_str(&b, str[i].s, strlen(str[i].s));
	}
	json_add_key(&b, "page");
	buf_addf(&b, "%u, \"start\": %llu, \"end\": %llu", h->page,
		 (unsigned long long)h->start, (unsigned long long)h->end);
	json_add_key(&b, "text");
	json_add_str(&b, h->text, strlen(h->text));
	json_add_key(&b, "score");
	json_add_float(&b, h->score);
	buf_addc(&b, '}');
	puts(buf_str(&b));
	buf_release(&b);
}

static void print_text(const struct cli *c, const struct rag_hit *h, size_t rank)
{
	printf("%s%zu. ", cli_bold(c), rank);
	cli_text(c, *h->title ? h->title : h->uri, strlen(*h->title ? h->title : h->uri));
	printf("%s  %s%.3f%s\n", cli_plain(c), cli_green(c), (double)h->score, cli_plain(c));
	printf("   %s", cli_dim(c));
	cli_text(c, h->uri, strlen(h->uri));
	if (h->page)
		printf(", page %u", h->page);
	else
		printf(", line %u", h->line);
	if (*h->heading) {
		fputs(", ", stdout);
		cli_text(c, h->heading, strlen(h->heading));
	}
	printf("%s\n", cli_plain(c));
	cli_wrap(h->text, strlen(h->text), 3);
	putchar('\n');
}

static void explain_score(const char *name, float score, uint32_t at)
{
	if (isnan(score))
		return;
	fprintf(stderr, "   %s %.3f", name, (double)score);
	if (at)
		fprintf(stderr, " (rank %u)", at);
}

static void explain_hit(const struct rag_hit *h)
{
	explain_score("dense", h->cosine, h->at_dense);
	explain_score("bm25", h->bm25, h->at_bm25);
	explain_score("late", h->late, 0);
	if (h->at_fused)
		fprintf(stderr, "   fused rank %u", h->at_fused);
	fputc('\n', stderr);
	for (size_t i = 0; i < h->n_terms; i++)
		if (h->term[i].tf)
			fprintf(stderr, "      %-20s %7.3f = idf %.3f, %u times here, in %llu chunks\n",
				h->term[i].text, h->term[i].score, h->term[i].idf, h->term[i].tf,
				(unsigned long long)h->term[i].df);
}

static void explain_stages(const struct rag_hits *h)
{
	fprintf(stderr, "embed %.2f ms", h->seconds_embed * 1e3);
	for (size_t i = 0; i < h->n_stages; i++)
		fprintf(stderr, ", %s %.2f ms", h->stage[i].name, h->stage[i].seconds * 1e3);
	fprintf(stderr, ", %zu hits\n", h->n);
}

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	const struct args *a = v;
	struct rag_opts o = cli_rag_opts(c);
	struct rag_search_opts so = RAG_SEARCH_OPTS_INIT;
	struct rag_hits *hits;
	struct rag *r;
	int code, rc;

	(void)argc;
	o.read_only = 1;
	o.reranker = a->reranker;
	code = cli_open(&r, c, &o);
	if (code)
		return code;
	so.k = a->k;
	so.in = a->in;
	so.filter = a->filter;
	so.min_score = a->min_score;
	so.mode = a->mode;
	so.expand = a->expand;
	so.per_document = a->per_document;
	so.weight = a->weight;
	so.diversity = a->diversity;
	so.explain = a->explain;
	so.extent = a->section ? RAG_SECTIONS : a->merge ? RAG_MERGED : RAG_CHUNKS;
	rc = rag_search(&hits, r, argv[0], &so);
	if (rc) {
		code = cli_fail(rc);
	} else {
		for (size_t i = 0; i < hits->n; i++) {
			if (c->json)
				print_json(hits->hit[i], i + 1);
			else
				print_text(c, hits->hit[i], i + 1);
			if (a->explain)
				explain_hit(hits->hit[i]);
		}
		if (a->explain)
			explain_stages(hits);
		if (!hits->n && !c->quiet && !c->json)
			fprintf(stderr, "nothing found\n");
		code = hits->n ? CLI_OK : CLI_NOTHING;
		rag_hits_free(hits);
	}
	rag_close(r);
	return code;
}

const struct command cmd_search = {
	"search", "QUERY", "find the passages nearest to a question",
	"Prints the passages, best first, with where they stand.  With --json one object a\n"
	"line: rank, doc, chunk, uri, title, heading, page, start, end, text, score.  start and\n"
	"end count bytes of the text that 'ragstone show DOC' prints.",
	opts, N_OPTS(opts), sizeof(struct args), 1, 1, run,
};
