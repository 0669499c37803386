/*
 * tokens MODEL [--special] [--time]: reads a JSON string a line from stdin and
 * prints its token ids as a JSON array.  --time reports on stderr how long
 * opening and encoding took.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/err.h"
#include "base/json.h"
#include "model/gguf.h"
#include "model/tok.h"

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static int open_model(struct tok **out, const char *path)
{
	struct gguf *g = NULL;
	struct stat st;
	int rc;

	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		return tok_open_dir(out, path);
	rc = gguf_open(&g, path);
	if (!rc)
		rc = tok_from_gguf(out, g);
	gguf_close(g);
	return rc;
}

static int print_ids(const struct tok_ids *ids)
{
	size_t i;

	putchar('[');
	for (i = 0; i < ids->len; i++)
		printf("%s%d", i ? ", " : "", (int)ids->id[i]);
	puts("]");
	return 0;
}

int main(int argc, char **argv)
{
	double start = now(), opened, busy = 0, t0;
	struct tok_ids ids = { NULL, NULL, NULL, 0, 0 };
	unsigned flags = TOK_ADD;
	struct json *text = NULL;
	struct tok *tok = NULL;
	bool report = false;
	size_t bytes = 0, tokens = 0, cap = 0, line_no = 0;
	char *line = NULL, what[32];
	ssize_t n;
	int i, rc;

	if (argc < 2) {
		fputs("usage: tokens MODEL [--special] [--time] < LINES\n", stderr);
		return 2;
	}
	for (i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "--special"))
			flags |= TOK_PARSE;
		else if (!strcmp(argv[i], "--time"))
			report = true;
	}
	rc = open_model(&tok, argv[1]);
	opened = now();
	while (!rc && (n = getline(&line, &cap, stdin)) >= 0) {
		snprintf(what, sizeof(what), "line %zu", ++line_no);
		rc = json_parse(&text, line, (size_t)n, what);
		if (rc)
			break;
		t0 = now();
		ids.len = 0;
		rc = tok_encode(&ids, tok, json_str(text, ""), json_str_len(text), flags);
		busy += now() - t0;
		bytes += json_str_len(text);
		tokens += ids.len;
		json_free(text);
		text = NULL;
		if (!rc && !report)
			print_ids(&ids);
	}
	if (rc)
		fprintf(stderr, "tokens: %s\n", err_msg());
	else if (report)
		fprintf(stderr, "open %.2f ms, %zu tokens of %zu bytes in %.3f s, %.1f MB/s\n",
			(opened - start) * 1e3, tokens, bytes, busy, (double)bytes / busy * 1e-6);
	free(line);
	tok_ids_release(&ids);
	tok_close(tok);
	return rc ? 1 : 0;
}
