/* How documents, answers and their sources look. */
#include "config.h"
#include "src/cli/cli.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

int ask_view_token(void *view, const char *text, size_t len)
{
	struct ask_view *v = view;

	cli_bar_clear();
	v->streamed = true;
	cli_text(v->c, text, len);
	fflush(stdout);
	return 0;
}

static void place(const struct cli *c, const char *uri, const char *title, const char *heading,
		  uint32_t page, uint64_t start, uint64_t end)
{
	if (title && *title) {
		cli_text(c, title, strlen(title));
		fputs("  ", stdout);
	}
	fputs(cli_dim(c), stdout);
	if (heading && *heading) {
		cli_text(c, heading, strlen(heading));
		fputs("  ", stdout);
	}
	cli_text(c, uri, strlen(uri));
	if (page)
		printf(", page %u", page);
	printf(", bytes %llu-%llu%s\n", (unsigned long long)start, (unsigned long long)end,
	       cli_plain(c));
}

static const struct rag_passage *passage_of(const struct rag_answer *a, int n)
{
	for (size_t i = 0; i < a->n_passages; i++)
		if (a->passage[i]->n == n)
			return a->passage[i];
	return NULL;
}

/* The supporting spans under the number of their passage, each span once. */
static void evidence(struct cli *c, const struct rag_answer *a)
{
	for (size_t i = 0; i < a->n_passages; i++) {
		const struct rag_passage *p = a->passage[i];
		bool head = false;

		for (size_t k = 0; k < a->n_citations; k++) {
			const struct rag_citation *t = a->citation[k];
			bool seen = t->n != p->n;

			for (size_t j = 0; j < k && !seen; j++)
				seen = a->citation[j]->n == t->n &&
				       a->citation[j]->start == t->start &&
				       a->citation[j]->end == t->end;
			if (seen)
				continue;
			if (!head) {
				printf("%s[%d]%s ", cli_green(c), p->n, cli_plain(c));
				place(c, t->uri, p->title, p->heading, t->page, t->start, t->end);
			}
			head = true;
			cli_wrap(t->text, strlen(t->text), 4);
		}
	}
}

void ask_view_answer(struct ask_view *v, const struct rag_answer *a, bool explain)
{
	struct cli *c = v->c;

	cli_bar_clear();
	if (v->streamed)
		putchar('\n');
	if (a->abstained) {
		printf("%sI don't know%s: %s.\n", cli_bold(c), cli_plain(c), a->reason);
	} else {
		if (!v->streamed) {
			cli_text(c, a->marked, strlen(a->marked));
			putchar('\n');
		}
		if (a->n_citations) {
			putchar('\n');
			evidence(c, a);
		}
	}
	for (size_t i = 0; i < a->n_passages; i++)
		if (a->passage[i]->trimmed && !c->quiet)
			fprintf(stderr, "ragstone: passage %d was cut to fit the model's context\n",
				a->passage[i]->n);
	if (a->cut && !a->abstained && !c->quiet)
		fprintf(stderr, "ragstone: the answer was cut\n");
	if (explain)
		fprintf(stderr, "%s: search %.3f s, prefill %.3f s for %d tokens, decode %.3f s for %d tokens, "
			"%d of %d drafted ones right\n", a->model, a->seconds_search, a->seconds_prefill,
			a->prompt_tokens, a->seconds_decode, a->answer_tokens, a->accepted_tokens,
			a->drafted_tokens);
}

void ask_view_sources(struct cli *c, const struct rag_answer *a)
{
	for (size_t i = 0; i < a->n_passages; i++) {
		const struct rag_passage *p = a->passage[i];
		size_t cited = 0;

		for (size_t k = 0; k < a->n_citations; k++)
			cited += passage_of(a, a->citation[k]->n) == p;
		printf("%s[%d]%s %.3f%s ", cli_green(c), p->n, cli_plain(c), (double)p->score,
		       cited ? "  cited " : "");
		place(c, p->uri, p->title, p->heading, p->page, p->start, p->end);
	}
	if (!a->n_passages)
		puts("no passages");
}

/* Does the line at p ("key=value\n") have the key of the one at q? */
static bool same_key(const char *p, const char *q)
{
	size_t n = strcspn(p, "=") + 1;

	return !strncmp(p, q, n);
}

static const char *next_line(const char *p)
{
	p = strchr(p, '\n');
	return p ? p + 1 : "";
}

static void json_value(struct buf *b, const char *line)
{
	const char *v = strchr(line, '=') + 1;

	json_add_str(b, v, strcspn(v, "\n"));
}

/* The first line from p on that has the key of `of`; "" if none. */
static const char *find_key(const char *p, const char *of)
{
	while (*p && !same_key(of, p))
		p = next_line(p);
	return p;
}

void cli_json_metadata(struct buf *b, const struct rag_document *d)
{
	const char *gap = "";

	json_add_key(b, "metadata");
	buf_addc(b, '{');
	for (const char *p = d->metadata; *p; p = next_line(p)) {
		const char *more = find_key(next_line(p), p);
		bool several = *more;

		if (find_key(d->metadata, p) != p)
			continue;	/* came with the first of its key */
		buf_adds(b, gap);
		gap = ", ";
		json_add_str(b, p, strcspn(p, "="));
		buf_adds(b, several ? ": [" : ": ");
		json_value(b, p);
		for (; *more; more = find_key(next_line(more), p)) {
			buf_adds(b, ", ");
			json_value(b, more);
		}
		if (several)
			buf_addc(b, ']');
	}
	buf_addc(b, '}');
}
