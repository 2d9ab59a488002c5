// What the theme leaves out for keyboards and screen readers.
addEventListener("load", () => {
  document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "All pages");
  document.querySelector(".toc-drawer")?.setAttribute("aria-label", "On this page");
  for (const block of document.querySelectorAll("pre, .table-wrapper, div.math")) {
    if (block.scrollWidth > block.clientWidth) block.tabIndex = 0; // so that keys can scroll it
  }
});
