#include "config.h"
#include "src/cli/cli.h"

#include "base/conf.h"
#include "src/cli/line.h"
#include "src/cli/opts.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct args {
	const char *model;
};

static const struct opt opts[] = {
	{ 'm', "model", "MODEL", OPT_STR, offsetof(struct args, model),
	  "the generator ($RAGSTONE_MODEL)" },
};

struct chat {
	struct cli *c;
	struct rag *r;
	struct rag_chat *memory;
	struct rag_ask_opts ask;
	struct rag_search_opts search;	/* of ask */
	struct rag_answer *last;	/* NULL before the first answer */
	char *in, *filter;		/* owned, what ask.search points to */
	bool tty;
	bool quit;
	int code;			/* of a piped conversation: 1 if it ever didn't know */
};

struct slash {
	const char *name, *args, *help;
	void (*run)(struct chat *ch, const char *arg);
};

static void complain(struct chat *ch, int rc)
{
	cli_fail(rc);
	if (!ch->tty)
		ch->code = CLI_FAIL;
}

static void do_sources(struct chat *ch, const char *arg)
{
	(void)arg;
	if (!ch->last)
		fprintf(stderr, "no answer yet\n");
	else
		ask_view_sources(ch->c, ch->last);
}

static void do_show(struct chat *ch, const char *arg)
{
	char *end;
	long n = strtol(arg, &end, 10);

	for (size_t i = 0; ch->last && *arg && !*end && i < ch->last->n_passages; i++) {
		const struct rag_passage *p = ch->last->passage[i];

		if (p->n != n)
			continue;
		printf("%s", cli_dim(ch->c));
		cli_text(ch->c, p->uri, strlen(p->uri));
		printf("%s\n", cli_plain(ch->c));
		cli_text(ch->c, p->text, strlen(p->text));
		putchar('\n');
		return;
	}
	fprintf(stderr, "no passage '%s'; /sources lists them\n", arg);
}

static void do_search(struct chat *ch, const char *arg)
{
	struct rag_search_opts so = ch->search;
	struct rag_hits *hits;
	int rc = rag_search(&hits, ch->r, arg, &so);

	if (rc) {
		complain(ch, rc);
		return;
	}
	for (size_t i = 0; i < hits->n; i++) {
		const struct rag_hit *h = hits->hit[i];

		printf("%s%.3f%s ", cli_green(ch->c), (double)h->score, cli_plain(ch->c));
		cli_text(ch->c, h->uri, strlen(h->uri));
		putchar('\n');
		cli_wrap(h->text, strlen(h->text), 4);
	}
	if (!hits->n)
		fprintf(stderr, "nothing found\n");
	rag_hits_free(hits);
}

static void do_model(struct chat *ch, const char *arg)
{
	int rc;

	if (!*arg) {
		printf("%s\n", rag_generator(ch->r));
		return;
	}
	rc = rag_use_generator(ch->r, arg);
	if (rc)
		complain(ch, rc);
}

static bool number(double *out, const char *s)
{
	char *end;

	*out = strtod(s, &end);
	return *s && !*end && isfinite(*out) && *out >= 0;
}

static void set_text(char **slot, const char **used, const char *value)
{
	free(*slot);
	*slot = *value ? strdup(value) : NULL;
	*used = *slot;
}

static void do_set(struct chat *ch, const char *arg)
{
	struct rag_ask_opts *a = &ch->ask;
	char name[32];
	const char *value = arg + strcspn(arg, " ");
	double v = 0;
	bool good;

	if (!*arg) {
		printf("k %zu\nmax-tokens %d\ntemperature %g\ntop-k %d\ntop-p %g\nmin-p %g\nseed %llu\n"
		       "min-score %g\nin %s\nfilter %s\n", ch->search.k ? ch->search.k : 5,
		       a->max_tokens ? a->max_tokens : 256, a->temperature, a->top_k, a->top_p,
		       a->min_p, (unsigned long long)a->seed, ch->search.min_score,
		       ch->in ? ch->in : "", ch->filter ? ch->filter : "");
		return;
	}
	snprintf(name, sizeof(name), "%.*s", (int)(value - arg), arg);
	value += strspn(value, " ");
	good = number(&v, value);
	if (!strcmp(name, "in")) {
		set_text(&ch->in, &ch->search.in, value);
		return;
	}
	if (!strcmp(name, "filter")) {
		set_text(&ch->filter, &ch->search.filter, value);
		return;
	}
	if (!good || v > 1e9) {
		fprintf(stderr, "/set %s wants a number, not '%s'\n", name, value);
	} else if (!strcmp(name, "k")) {
		ch->search.k = (size_t)v;
	} else if (!strcmp(name, "max-tokens")) {
		a->max_tokens = (int)v;
	} else if (!strcmp(name, "temperature")) {
		a->temperature = v;
	} else if (!strcmp(name, "top-k")) {
		a->top_k = (int)v;
	} else if (!strcmp(name, "top-p")) {
		a->top_p = v;
	} else if (!strcmp(name, "min-p")) {
		a->min_p = v;
	} else if (!strcmp(name, "seed")) {
		a->seed = (uint64_t)v;
	} else if (!strcmp(name, "min-score")) {
		ch->search.min_score = v;
	} else {
		fprintf(stderr, "nothing to set is called '%s'; /set alone lists them\n", name);
	}
}

static int list_one(void *arg, const struct rag_document *d)
{
	struct chat *ch = arg;

	printf("%5llu  ", (unsigned long long)d->doc);
	cli_text(ch->c, d->uri, strlen(d->uri));
	putchar('\n');
	return cli_interrupted();
}

static void do_list(struct chat *ch, const char *arg)
{
	int rc;

	(void)arg;
	rc = rag_documents(ch->r, list_one, ch);
	if (rc < 0)
		complain(ch, rc);
}

static void do_new(struct chat *ch, const char *arg)
{
	int rc;

	(void)arg;
	rag_chat_free(ch->memory);
	ch->memory = NULL;
	rc = rag_chat_new(&ch->memory, ch->r);
	if (rc)
		complain(ch, rc);
}

static void do_quit(struct chat *ch, const char *arg)
{
	(void)arg;
	ch->quit = true;
}

static void do_help(struct chat *ch, const char *arg);

static const struct slash slashes[] = {
	{ "/sources", "", "the passages of the last answer", do_sources },
	{ "/show", "N", "passage N in full", do_show },
	{ "/search", "QUERY", "search without answering", do_search },
	{ "/list", "", "the documents", do_list },
	{ "/model", "[NAME]", "which generator answers, or another one", do_model },
	{ "/set", "[NAME VALUE]", "settings: k, temperature, max-tokens, in, ...", do_set },
	{ "/new", "", "forget the conversation so far", do_new },
	{ "/help", "", "this list", do_help },
	{ "/quit", "", "end (so does Ctrl-D)", do_quit },
};

static const char *const words[] = {
	"/sources", "/show", "/search", "/list", "/model", "/set", "/set k", "/set max-tokens",
	"/set temperature", "/set top-k", "/set top-p", "/set min-p", "/set seed",
	"/set min-score", "/set in", "/set filter", "/new", "/help", "/quit", NULL,
};

static void do_help(struct chat *ch, const char *arg)
{
	(void)ch;
	(void)arg;
	for (size_t i = 0; i < N_OPTS(slashes); i++)
		printf("  %-9s %-13s %s\n", slashes[i].name, slashes[i].args, slashes[i].help);
	puts("  Anything else is a question.  Ctrl-C stops an answer.");
}

static void command(struct chat *ch, const char *line)
{
	size_t n = strcspn(line, " ");
	const char *arg = line + n + strspn(line + n, " ");

	for (size_t i = 0; i < N_OPTS(slashes); i++) {
		if (strlen(slashes[i].name) == n && !strncmp(slashes[i].name, line, n)) {
			slashes[i].run(ch, arg);
			return;
		}
	}
	fprintf(stderr, "no command '%.*s'; /help lists them\n", (int)n, line);
}

static void question(struct chat *ch, const char *line)
{
	struct ask_view view = { ch->c, false };
	struct rag_answer *a;
	int rc;

	ch->ask.search = &ch->search;
	ch->ask.token = ch->tty ? ask_view_token : NULL;
	ch->ask.token_arg = &view;
	rc = rag_ask(&a, ch->r, ch->memory, line, &ch->ask);
	if (rc == RAG_ECANCEL && ch->tty) {
		cli_bar_clear();
		fprintf(stderr, "stopped\n");
		return;
	}
	if (rc) {
		complain(ch, rc);
		return;
	}
	ask_view_answer(&view, a, false);
	putchar('\n');
	if (a->abstained && !ch->tty && ch->code == CLI_OK)
		ch->code = CLI_NOTHING;
	rag_answer_free(ch->last);
	ch->last = a;
}

static void history_path(struct buf *out)
{
	if (conf_store(out))
		return;
	while (out->len && out->data[out->len - 1] != '/')
		out->len--;
	if (buf_adds(out, "history"))
		buf_clear(out);
}

static void greet(struct chat *ch)
{
	struct rag_status *s;

	if (rag_status(&s, ch->r))
		return;
	printf("%sragstone %s%s  %llu documents, %llu chunks, answers by %s.  /help says what there is.\n\n",
	       cli_bold(ch->c), rag_version(), cli_plain(ch->c), (unsigned long long)s->documents,
	       (unsigned long long)s->chunks, rag_generator(ch->r));
	rag_status_free(s);
}

static int run(struct cli *c, const void *v, int argc, char **argv)
{
	const struct args *a = v;
	struct chat ch = { .c = c, .ask = RAG_ASK_OPTS_INIT, .search = RAG_SEARCH_OPTS_INIT };
	struct rag_opts o = cli_rag_opts(c);
	struct buf history = BUF_INIT;
	enum line_got got = LINE_END;
	struct line *line;
	const char *text;
	int code, rc;

	(void)argc;
	(void)argv;
	ch.tty = c->out_tty && isatty(STDIN_FILENO);
	o.read_only = 1;
	o.generator = a->model;
	code = cli_open(&ch.r, c, &o);
	if (code)
		return code;
	rc = rag_chat_new(&ch.memory, ch.r);
	if (rc) {
		code = cli_fail(rc);
		rag_close(ch.r);
		return code;
	}
	history_path(&history);
	line = line_open("> ", history.len ? history.data : NULL, words, ch.tty);
	if (!line)
		code = cli_usage("out of memory");
	if (ch.tty)
		greet(&ch);
	while (!code && !ch.quit && (got = line_read(&text, line)) != LINE_END) {
		if (got == LINE_INTERRUPTED && ch.tty)
			continue;
		if (got == LINE_INTERRUPTED) {
			code = cli_fail(RAG_ECANCEL);
			break;
		}
		text += strspn(text, " \t");
		cli_watch_interrupt(ch.r);	/* afresh for each line */
		if (*text == '/')
			command(&ch, text);
		else if (*text)
			question(&ch, text);
		fflush(stdout);
		if (!ch.tty && cli_interrupted())	/* of a script: all of it */
			code = CLI_INTERRUPTED;
	}
	line_close(line);
	buf_release(&history);
	rag_answer_free(ch.last);
	rag_chat_free(ch.memory);
	free(ch.in);
	free(ch.filter);
	rag_close(ch.r);
	return code ? code : ch.code;
}

const struct command cmd_chat = {
	"chat", "", "the interactive prompt (also what 'ragstone' alone starts)",
	"Each line is a question, or a command that starts with a slash: /help lists them.\n"
	"Earlier questions and answers are remembered.  When standard input is no terminal,\n"
	"its lines are a conversation and the answers go to standard output.",
	opts, N_OPTS(opts), sizeof(struct args), 0, 0, run,
};
