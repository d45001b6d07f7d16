// Some samples as a filter of the grid.
export async function asFilter(app, ids) {
  const { set } = await app.post("api/set", { ids });
  await app.go({ tab: "grid", query: new Map([["set", [set]]]), page: new Map() });
}
