/*
 * cli - what the subcommands of `ragstone` share.
 *
 * A command is a table: name, options, what it does.  main() picks it, parses
 * its options into its own struct, and runs it; --help is printed from the
 * same table, so that a flag can't exist without its help.  Data goes to
 * stdout, everything else to stderr; progress and colours only where a person
 * looks.  Exit: 0 done, 1 nothing found or failed in part, 2 usage or
 * failure, 130 interrupted.
 */
#ifndef RAG_SRC_CLI_H
#define RAG_SRC_CLI_H

#include "base/buf.h"
#include "src/ragstone.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLI_OK = 0, CLI_NOTHING = 1, CLI_FAIL = 2, CLI_INTERRUPTED = 130 };

enum opt_type {
	OPT_FLAG,	/* int, set to 1 */
	OPT_INT,	/* int >= 0 */
	OPT_SIZE,	/* size_t; K, M, G may follow */
	OPT_U64,
	OPT_REAL,	/* double, finite and >= 0 */
	OPT_STR,	/* const char * */
	OPT_LIST,	/* struct str_list: may be given again */
};

#define STR_LIST_MAX 64
struct str_list {
	const char *s[STR_LIST_MAX + 1];	/* NULL-terminated */
	size_t n;
};

struct opt {
	char letter;		/* 0: none */
	const char *name;	/* without the dashes; NULL: only a letter */
	const char *arg;	/* placeholder in the help; NULL for a flag */
	enum opt_type type;
	size_t offset;		/* in the command's argument struct */
	const char *help;
};

struct cli {		/* the global options, and what follows from them */
	const char *store;
	const char *models;
	int json, quiet, threads;
	bool out_tty, err_tty;		/* a person looks there */
	bool colour;			/* on stdout */
};

struct command {
	const char *name;
	const char *args;		/* "QUERY", "[DOC]..." */
	const char *summary;		/* one line, lower case */
	const char *details;		/* paragraphs for --help; "" */
	const struct opt *opts;
	size_t n_opts;
	size_t size;			/* of the argument struct, zeroed before parsing */
	int min_args, max_args;		/* -1: any number */
	int (*run)(struct cli *c, const void *args, int argc, char **argv);
};

extern const struct command cmd_ask, cmd_bench, cmd_chat, cmd_embed, cmd_eval, cmd_forget,
	cmd_generate, cmd_ingest, cmd_init, cmd_list, cmd_model, cmd_perplexity, cmd_search,
	cmd_show, cmd_status, cmd_tokens, cmd_verify;
extern const struct command *const commands[];		/* NULL-terminated, in the order of the help */

/* Prints "ragstone: message" on stderr and returns the exit code for it. */
int cli_fail(int rc);
int cli_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cli_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Opens the store with the global options filled in; on failure the message
 * is printed and an exit code (not 0) returned. */
int cli_open(struct rag **out, struct cli *c, struct rag_opts *o);
/* A handle for the models alone: needs no store. */
int cli_open_models(struct rag **out, struct cli *c, struct rag_opts *o);
struct rag_opts cli_rag_opts(const struct cli *c);

/* Ctrl-C: the first asks the running call on r to stop, a second within a
 * second ends the program.  NULL takes the handler away. */
void cli_watch_interrupt(struct rag *r);
void cli_note_interrupt(void);		/* the first is for cli_interrupted() alone to tell */
bool cli_interrupted(void);		/* since the last of these two */

/* A bar on stderr; prints nothing where no person looks.  A rag_progress_fn. */
int cli_bar(void *cli, const struct rag_progress *p);
void cli_bar_clear(void);		/* before other output on the same line */

/* Whole of a file or of stdin ("-", NULL); newlines kept. */
int cli_read(struct buf *out, const char *path);
/* Calls fn with each line, without its newline; stops when fn gives not 0. */
int cli_each_line(const char *path, int (*fn)(void *arg, const char *line, size_t len), void *arg);

/* "1.2 MB" */
const char *cli_bytes(char out[16], uint64_t n);
const char *cli_bold(const struct cli *c);	/* "" without colours */
const char *cli_dim(const struct cli *c);
const char *cli_green(const struct cli *c);
const char *cli_plain(const struct cli *c);
/* Prints text wrapped to the terminal, each line behind indent. */
void cli_wrap(const char *text, size_t len, int indent);
/* What a control character in a document could do to a terminal is taken out:
 * writes to stdout, raw when stdout is no terminal. */
void cli_text(const struct cli *c, const char *text, size_t len);
void cli_err_text(const char *text);	/* the same to stderr: a file's name may hold anything */

/* A document's metadata as a member of an object: `, "metadata": {"author": "A", "tags": ["a", "b"]}`. */
void cli_json_metadata(struct buf *b, const struct rag_document *d);

/* How a generator draws its tokens: ask and generate take the same options. */
struct sampling {
	const char *model;
	int max_tokens, top_k;
	double temperature, top_p, min_p;
	uint64_t seed;
};
#define SAMPLING_OPTS(T, at) \
	{ 'm', "model", "MODEL", OPT_STR, offsetof(T, at.model), "the generator ($RAGSTONE_MODEL)" }, \
	{ 'n', "max-tokens", "N", OPT_INT, offsetof(T, at.max_tokens), "tokens at most (256)" }, \
	{ 't', "temperature", "T", OPT_REAL, offsetof(T, at.temperature), \
	  "0: always the likeliest token (0)" }, \
	{ 0, "top-k", "N", OPT_INT, offsetof(T, at.top_k), "only the N likeliest (0: all)" }, \
	{ 0, "top-p", "P", OPT_REAL, offsetof(T, at.top_p), \
	  "only the likeliest that make up P (0: off)" }, \
	{ 0, "min-p", "P", OPT_REAL, offsetof(T, at.min_p), \
	  "only those above P times the likeliest (0: off)" }, \
	{ 0, "seed", "N", OPT_U64, offsetof(T, at.seed), "of the sampling (0)" }

/* ask and chat share how an answer looks. */
struct ask_view {
	struct cli *c;
	bool streamed;		/* something has been printed by the token callback */
};
int ask_view_token(void *view, const char *text, size_t len);
void ask_view_answer(struct ask_view *v, const struct rag_answer *a, bool explain);
void ask_view_sources(struct cli *c, const struct rag_answer *a);

#define N_OPTS(a) (sizeof(a) / sizeof((a)[0]))

#endif
