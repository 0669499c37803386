#include "config.h"
#include "src/cli/line.h"

#include <errno.h>
#include <histedit.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HISTORY_LINES 1000

struct line {
	EditLine *el;		/* NULL when input is a pipe */
	History *history;
	char *history_path;
	const char *prompt;
	const char *const *words;
	char *text;		/* the last line, owned */
	size_t cap;
};

static char *prompt_of(EditLine *el)
{
	struct line *l;

	el_get(el, EL_CLIENTDATA, &l);
	return (char *)l->prompt;
}

/* Completes as far as all candidates agree; lists them when they don't. */
static unsigned char complete(EditLine *el, int ch)
{
	const LineInfo *info = el_line(el);
	size_t n = (size_t)(info->cursor - info->buffer), common = 0, found = 0;
	const char *first = NULL;
	struct line *l;

	(void)ch;
	el_get(el, EL_CLIENTDATA, &l);
	for (size_t i = 0; l->words[i]; i++) {
		const char *w = l->words[i];
		size_t k = 0;

		if (strncmp(w, info->buffer, n))
			continue;
		if (!found++) {
			first = w;
			common = strlen(w);
		}
		while (k < common && w[k] == first[k])
			k++;
		common = k;
	}
	if (!found || !n)
		return CC_ERROR;
	if (common > n || found == 1) {
		char rest[64];

		snprintf(rest, sizeof(rest), "%.*s%s", (int)(common - n), first + n,
			 found == 1 ? " " : "");
		return el_insertstr(el, rest) ? CC_ERROR : CC_REFRESH;
	}
	putchar('\n');
	for (size_t i = 0; l->words[i]; i++)
		if (!strncmp(l->words[i], info->buffer, n))
			printf("%s  ", l->words[i]);
	putchar('\n');
	fflush(stdout);
	return CC_REDISPLAY;
}

static void interrupted(int sig)
{
	(void)sig;	/* there only so that the read returns with EINTR */
}

struct line *line_open(const char *prompt, const char *path, const char *const *words,
		       bool interactive)
{
	struct line *l = calloc(1, sizeof(*l));
	HistEvent ev;

	if (!l || !interactive)
		return l;
	l->prompt = prompt;
	l->words = words;
	l->history = history_init();
	l->el = el_init("ragstone", stdin, stdout, stderr);
	if (!l->el || !l->history) {
		line_close(l);
		return NULL;
	}
	el_set(l->el, EL_CLIENTDATA, l);
	el_set(l->el, EL_PROMPT, prompt_of);
	el_set(l->el, EL_EDITOR, "emacs");
	el_set(l->el, EL_ADDFN, "rag-complete", "complete a command", complete);
	el_set(l->el, EL_BIND, "^I", "rag-complete", NULL);
	el_set(l->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
	el_set(l->el, EL_HIST, history, l->history);
	history(l->history, &ev, H_SETSIZE, HISTORY_LINES);
	history(l->history, &ev, H_SETUNIQUE, 1);
	if (path) {
		history(l->history, &ev, H_LOAD, path);
		l->history_path = strdup(path);
	}
	el_source(l->el, NULL);
	return l;
}

void line_close(struct line *l)
{
	HistEvent ev;

	if (!l)
		return;
	if (l->history_path) {
		mode_t old = umask(077);	/* questions are the user's own business */

		history(l->history, &ev, H_SAVE, l->history_path);
		umask(old);
	}
	if (l->el)
		el_end(l->el);
	if (l->history)
		history_end(l->history);
	free(l->history_path);
	free(l->text);
	free(l);
}

static enum line_got read_pipe(const char **out, struct line *l)
{
	ssize_t n = getline(&l->text, &l->cap, stdin);

	if (n < 0)
		return ferror(stdin) && errno == EINTR ? LINE_INTERRUPTED : LINE_END;
	if (n && l->text[n - 1] == '\n')
		l->text[n - 1] = 0;
	*out = l->text;
	return LINE_OK;
}

enum line_got line_read(const char **out, struct line *l)
{
	struct sigaction sa, old;
	const char *got;
	HistEvent ev;
	int n = 0;

	if (!l->el)
		return read_pipe(out, l);
	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = interrupted;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, &old);
	errno = 0;
	got = el_gets(l->el, &n);
	sigaction(SIGINT, &old, NULL);
	if (!got) {
		if (n < 0 && errno == EINTR) {
			el_set(l->el, EL_UNBUFFERED, 0);
			el_reset(l->el);
			putchar('\n');
			return LINE_INTERRUPTED;
		}
		putchar('\n');
		return LINE_END;
	}
	free(l->text);
	l->text = strdup(got);
	if (!l->text)
		return LINE_END;
	l->text[strcspn(l->text, "\n")] = 0;
	if (l->text[strspn(l->text, " \t")])
		history(l->history, &ev, H_ENTER, got);
	*out = l->text;
	return LINE_OK;
}
