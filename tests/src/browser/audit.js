// What is wrong with a page as it is shown. The value of the whole is read by `Browser::audit`.
(() => {
  document.querySelectorAll("details").forEach((details) => (details.open = true));
  const faint = [], wide = [], lost = [], foreign = [];
  const short = (text) => text.trim().replace(/\s+/g, " ").slice(0, 60);

  // Colours as the browser computes them, and one over another.
  const colour = (text) => {
    const [red, green, blue, alpha = 1] = text.match(/[\d.]+/g).map(Number);
    return { red, green, blue, alpha };
  };
  const over = (top, below) => {
    const mix = (part) => top[part] * top.alpha + below[part] * (1 - top.alpha);
    return { red: mix("red"), green: mix("green"), blue: mix("blue"), alpha: 1 };
  };
  // Relative luminance and contrast as WCAG 2.2 defines them.
  const luminance = ({ red, green, blue }) => {
    const linear = (part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    };
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  };
  const contrast = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const back = colour(getComputedStyle(at).backgroundColor);
      if (back.alpha > 0) layers.push(back);
    }
    return layers.reverse().reduce((below, top) => over(top, below), { red: 255, green: 255, blue: 255, alpha: 1 });
  };
  // Behind a text in a drawing are the shapes that were drawn before it, where they cover its middle.
  const behindText = (text) => {
    const box = text.getBBox();
    const middle = new DOMPoint(box.x + box.width / 2, box.y + box.height / 2);
    let back = behind(text.ownerSVGElement);
    for (const shape of text.ownerSVGElement.querySelectorAll("rect, path")) {
      const isBefore = shape.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING;
      const fill = getComputedStyle(shape).fill;
      if (isBefore && fill !== "none" && shape.isPointInFill(middle)) back = over(colour(fill), back);
    }
    return back;
  };

  let texts = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest("title, style")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    if (range.getClientRects().length === 0) continue;
    texts += 1;
    const style = getComputedStyle(element);
    const inDrawing = element.closest("text");
    const back = inDrawing ? behindText(inDrawing) : behind(element);
    const front = over(colour(inDrawing ? style.fill : style.color), back);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight, 10) >= 700);
    const found = contrast(front, back);
    if (found < (isLarge ? 3 : 4.5)) faint.push(`${found.toFixed(2)}: ${short(node.data)}`);
  }

  const room = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > room) wide.push(`the page: ${document.documentElement.scrollWidth}`);
  for (const element of document.body.querySelectorAll("*")) {
    // What scrolls by itself may be as wide as it is, and a link that is hidden until it has the focus is outside.
    if (element.closest(".scroll, .skip, .signs")) continue;
    const { right, left, width } = element.getBoundingClientRect();
    if (width > 0 && (right > room + 1 || left < -1)) wide.push(`${element.tagName} ${Math.round(right)}: ${short(element.textContent)}`);
  }

  for (const link of document.querySelectorAll("a")) {
    const target = (link.getAttribute("href") ?? "").match(/^#(.+)$/);
    if (!target || !document.getElementById(target[1])) lost.push(link.outerHTML.slice(0, 80));
  }
  for (const section of document.querySelectorAll("main > section")) {
    const title = section.querySelector("h2");
    if (!document.querySelector(`nav a[href="#${section.id}"]`) || !title || !title.textContent.trim()) lost.push(section.id);
  }
  const known = new Set(document.querySelectorAll("[id]").length ? [...document.querySelectorAll("[id]")].map((one) => one.id) : []);
  if (known.size !== document.querySelectorAll("[id]").length) lost.push("an id is there twice");

  const strange = "script, img, iframe, object, embed, form, input, video, audio, foreignObject, base, [style], [onload], [onerror], [onclick]";
  for (const element of document.querySelectorAll(strange)) foreign.push(element.outerHTML.slice(0, 80));
  for (const link of document.querySelectorAll("link, use, a")) {
    const to = link.getAttribute("href") ?? "";
    if (!to.startsWith("#") && to !== "data:,") foreign.push(link.outerHTML.slice(0, 80));
  }
  return { faint, wide, lost, foreign, texts };
})()
