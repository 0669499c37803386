#include "config.h"
#include "src/cli/cli.h"

#include "base/conf.h"
#include "base/kern.h"
#include "src/cli/opts.h"

#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const struct command *const commands[] = {
	&cmd_init, &cmd_ingest, &cmd_search, &cmd_ask, &cmd_chat, &cmd_list, &cmd_show,
	&cmd_forget, &cmd_status, &cmd_verify, &cmd_embed, &cmd_tokens, &cmd_generate,
	&cmd_perplexity, &cmd_model, &cmd_eval, &cmd_bench, NULL,
};

struct globals {
	struct cli cli;
	int version;
};

static const struct opt global_opts[] = {
	{ 's', "store", "STORE", OPT_STR, offsetof(struct cli, store),
	  "the store's directory ($RAGSTONE_STORE)" },
	{ 0, "json", NULL, OPT_FLAG, offsetof(struct cli, json), "one JSON object a line" },
	{ 'q', "quiet", NULL, OPT_FLAG, offsetof(struct cli, quiet), "no progress, no summary" },
	{ 0, "threads", "N", OPT_INT, offsetof(struct cli, threads),
	  "threads (one a processor)" },
	{ 0, "models", "DIR", OPT_STR, offsetof(struct cli, models),
	  "where models are ($RAGSTONE_CACHE/models)" },
};
static const struct opt version_opt[] = {
	{ 'V', "version", NULL, OPT_FLAG, offsetof(struct globals, version),
	  "the versions of ragstone and of what it was built with" },
};

int cli_fail(int rc)
{
	cli_bar_clear();
	if (rc == RAG_ECANCEL) {
		fprintf(stderr, "ragstone: interrupted\n");
		return CLI_INTERRUPTED;
	}
	return cli_usage("%s", *rag_error() ? rag_error() : rag_error_name(rc));
}

static void say(const char *fmt, va_list ap)
{
	char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	cli_bar_clear();
	fputs("ragstone: ", stderr);
	cli_err_text(text ? text : "out of memory");
	fputc('\n', stderr);
	free(text);
}

void cli_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

int cli_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	return CLI_FAIL;
}

struct rag_opts cli_rag_opts(const struct cli *c)
{
	struct rag_opts o = RAG_OPTS_INIT;

	o.store = c->store;
	o.models = c->models;
	o.threads = c->threads;
	if (!c->quiet && c->err_tty) {
		o.progress = cli_bar;
		o.progress_arg = (void *)c;
	}
	return o;
}

int cli_open(struct rag **out, struct cli *c, struct rag_opts *o)
{
	int rc = rag_open(out, o);

	if (rc == RAG_ENOENT)
		return cli_usage("%s; 'ragstone ingest' makes it", rag_error());
	if (rc)
		return cli_fail(rc);
	(void)c;
	cli_watch_interrupt(*out);
	return 0;
}

int cli_open_models(struct rag **out, struct cli *c, struct rag_opts *o)
{
	int rc;

	(void)c;
	o->store = "";		/* models alone */
	rc = rag_open(out, o);
	if (rc)
		return cli_fail(rc);
	cli_watch_interrupt(*out);
	return 0;
}

/* ---- Ctrl-C -------------------------------------------------------------- */

static struct rag *volatile watched;
static volatile sig_atomic_t interrupts;
static volatile time_t last_interrupt;

static void on_interrupt(int sig)
{
	struct timespec now;
	struct rag *r = watched;

	(void)sig;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (interrupts && now.tv_sec - last_interrupt <= 1)
		_exit(CLI_INTERRUPTED);
	interrupts = 1;
	last_interrupt = now.tv_sec;
	if (r)
		rag_cancel(r);
}

static void watch(struct rag *r, void (*handler)(int))
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = handler;
	sigemptyset(&sa.sa_mask);
	watched = r;
	interrupts = 0;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

void cli_watch_interrupt(struct rag *r)
{
	watch(r, r ? on_interrupt : SIG_DFL);
}

void cli_note_interrupt(void)
{
	watch(NULL, on_interrupt);
}

bool cli_interrupted(void)
{
	return interrupts != 0;
}

/* ---- choosing the command -------------------------------------------------- */

static const struct command *find(const char *name)
{
	for (size_t i = 0; commands[i]; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static void help_all(void)
{
	printf("usage: ragstone [OPTION]... COMMAND [ARGUMENT]...\n"
	       "       ragstone [OPTION]...                 the interactive prompt\n\n"
	       "Documents in, cited answers out.\n\ncommands:\n");
	for (size_t i = 0; commands[i]; i++)
		printf("  %-12s %s\n", commands[i]->name, commands[i]->summary);
	printf("\noptions:\n");
	opts_help(global_opts, N_OPTS(global_opts));
	opts_help(version_opt, 1);
	printf("\n'ragstone COMMAND --help' says more.  Exit codes: 0 done, 1 nothing found or\n"
	       "failed in part, 2 wrong usage or failure, 130 interrupted.\n");
}

static void help_command(const struct command *cmd)
{
	printf("usage: ragstone %s [OPTION]...%s%s\n\n%c%s.\n", cmd->name, *cmd->args ? " " : "",
	       cmd->args, cmd->summary[0] - 'a' + 'A', cmd->summary + 1);
	if (*cmd->details)
		printf("\n%s\n", cmd->details);
	printf("\noptions:\n");
	opts_help(cmd->opts, cmd->n_opts);
	opts_help(global_opts, N_OPTS(global_opts));
}

static int run(struct cli *c, const struct command *cmd, int argc, char **argv)
{
	void *args = calloc(1, cmd->size ? cmd->size : 1);
	struct opt_set sets[2] = {
		{ cmd->opts, cmd->n_opts, args }, { global_opts, N_OPTS(global_opts), c },
	};
	int first, n, code = CLI_FAIL;

	if (!args)
		return cli_usage("out of memory");
	first = opts_parse(sets, 2, argc, argv, false);
	n = argc - first;
	if (first == -2) {
		help_command(cmd);
		code = CLI_OK;
	} else if (first >= 0 && n < cmd->min_args) {
		cli_usage("usage: ragstone %s %s", cmd->name, cmd->args);
	} else if (first >= 0 && cmd->max_args >= 0 && n > cmd->max_args) {
		cli_usage("too many arguments, the first is '%s'; usage: ragstone %s %s",
			  argv[first + cmd->max_args], cmd->name, cmd->args);
	} else if (first >= 0) {
		code = cmd->run(c, args, n, argv + first);
	}
	free(args);
	return code;
}

int main(int argc, char **argv)
{
	struct globals g;
	struct opt_set sets[2] = {
		{ global_opts, N_OPTS(global_opts), &g.cli }, { version_opt, 1, &g },
	};
	const struct command *cmd;
	const char *level = conf_env("RAGSTONE_KERNELS");
	enum kern_level kern;
	int first, code;

	setlocale(LC_ALL, "");
	setlocale(LC_NUMERIC, "C");	/* 0.5 is 0.5 in JSON and options */
	memset(&g, 0, sizeof(g));
	g.cli.out_tty = isatty(STDOUT_FILENO);
	g.cli.err_tty = isatty(STDERR_FILENO);
	g.cli.colour = g.cli.out_tty && !conf_env("NO_COLOR");
	if (level && (kern_parse(&kern, level) || kern_select(kern)))
		return cli_fail(RAG_EINVAL);
	first = opts_parse(sets, 2, argc, argv, true);
	if (first == -1)
		return CLI_FAIL;
	if (first == -2) {
		help_all();
		code = CLI_OK;
	} else if (g.version) {
		puts(rag_version_full());
		code = CLI_OK;
	} else if (first == argc) {
		char *chat[] = { (char *)"chat", NULL };

		code = run(&g.cli, &cmd_chat, 1, chat);
	} else if (!strcmp(argv[first], "help")) {
		cmd = first + 1 < argc ? find(argv[first + 1]) : NULL;
		if (cmd)
			help_command(cmd);
		else
			help_all();
		code = CLI_OK;
	} else {
		cmd = find(argv[first]);
		if (!cmd)
			return cli_usage("no command '%s'; 'ragstone --help' lists them", argv[first]);
		code = run(&g.cli, cmd, argc - first, argv + first);
	}
	cli_bar_clear();
	/* A full disk or a closed pipe behind stdout is a failure too. */
	if (fflush(stdout) || ferror(stdout)) {
		perror("ragstone: cannot write the output");
		return CLI_FAIL;
	}
	return code;
}
