/* Ingests a file and asks a question: cc example.c $(pkg-config --cflags --libs ragstone) */
#include <ragstone.h>
#include <stdio.h>

static void ingested(void *arg, const struct rag_ingested *i)
{
	(void)arg;
	if (i->error)
		fprintf(stderr, "%s: %s\n", i->uri, i->error);
}

int main(int argc, char **argv)
{
	struct rag_opts o = RAG_OPTS_INIT;
	struct rag_ingest_opts io = RAG_INGEST_OPTS_INIT;
	struct rag_answer *a;
	struct rag *r;

	if (argc != 4) {
		fprintf(stderr, "usage: example STORE FILE QUESTION\n");
		return 2;
	}
	o.store = argv[1];
	o.create = 1;
	io.ingested = ingested;
	if (rag_open(&r, &o)) {
		fprintf(stderr, "%s\n", rag_error());
		return 2;
	}
	if (rag_ingest(r, (const char *const *)&argv[2], 1, &io, NULL) ||
	    rag_ask(&a, r, NULL, argv[3], NULL)) {
		fprintf(stderr, "%s\n", rag_error());
		rag_close(r);
		return 2;
	}
	puts(a->abstained ? a->reason : a->marked);
	for (size_t i = 0; i < a->n_citations; i++)
		printf("[%d] %s, bytes %llu to %llu: %s\n", a->citation[i]->n, a->citation[i]->uri,
		       (unsigned long long)a->citation[i]->start,
		       (unsigned long long)a->citation[i]->end, a->citation[i]->text);
	rag_answer_free(a);
	rag_close(r);
	return 0;
}
